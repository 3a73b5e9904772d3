/**
 * What a person says yes to when outputs are trusted: SHA-256 of the canonical JSON (RFC 8785) of `[data, metadata]` of
 * each output that is displayed. The server has the same function (`server/trust.py`), with the same examples.
 *
 * Not the browser's own SHA-256: that is for pages by HTTPS only.
 */
import { digest } from 'lib0/hash/sha256';

export interface IOutput {
  output_type?: unknown;
  data?: unknown;
  metadata?: unknown;
}

const SHOWN: unknown[] = ['display_data', 'execute_result'];
/** What nothing can hide a script in; as nbformat has it. */
const HARMLESS = ['text/plain', 'image/png', 'image/jpeg'];

/** Empty where none of them needs trust. */
export function digestOf(outputs: IOutput[]): string {
  const shown = outputs.filter(one => SHOWN.includes(one.output_type));
  if (shown.every(isHarmless)) {
    return '';
  }
  const text = canonical(
    shown.map(one => [one.data ?? {}, one.metadata ?? {}])
  );
  const bytes = digest(new TextEncoder().encode(text));
  return Array.from(bytes, (one: number) =>
    one.toString(16).padStart(2, '0')
  ).join('');
}

export function needsTrust(outputs: IOutput[]): boolean {
  return !outputs.every(
    one => !SHOWN.includes(one.output_type) || isHarmless(one)
  );
}

function isHarmless(output: IOutput): boolean {
  return Object.keys(output.data ?? {}).every(one => HARMLESS.includes(one));
}

/** RFC 8785 takes numbers and texts as this language writes them, and names in the order of its own `sort`. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(',')}]`;
  }
  if (value === null || typeof value !== 'object') {
    return JSON.stringify(value) ?? 'null';
  }
  const parts = Object.entries(value)
    .filter(([, one]) => one !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`);
  return `{${parts.join(',')}}`;
}
