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

/** JupyterLab draws `data` of whatever is none of these, of an update of a display, say, that somebody has put here. */
const TEXTS: unknown[] = ['stream', 'error'];
/** What nothing can hide a script in; as nbformat has it. */
const HARMLESS = ['text/plain', 'image/png', 'image/jpeg'];

/** Empty where none of them needs trust; null where nobody can say yes to them for later: JSON too deep, say. */
export function digestOf(outputs: IOutput[]): string | null {
  try {
    const shown = outputs.filter(one => !TEXTS.includes(one.output_type));
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
  } catch {
    return null;
  }
}

export function needsTrust(outputs: IOutput[]): boolean {
  return !outputs.every(
    one => TEXTS.includes(one.output_type) || isHarmless(one)
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
