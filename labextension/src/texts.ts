/**
 * The words of the page. A name in a right-to-left script, put into a sentence as it is, draws the numbers and signs
 * beside it into its own order; so it is isolated, as Unicode's bidirectional algorithm (UAX 9) has it.
 */
import {
  ITranslator,
  nullTranslator,
  TranslationBundle
} from '@jupyterlab/translation';

/** Letters of such scripts, and what a name could turn the order around with. */
const TURNS =
  /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** `value` with marks around it that keep its order to itself, if it has any of its own. */
export function isolated<T>(value: T): T | string {
  return typeof value === 'string' && TURNS.test(value)
    ? `\u2068${value}\u2069`
    : value;
}

/** What is put into their places is isolated. */
export function textsOf(translator: ITranslator | null): TranslationBundle {
  const plain = (translator ?? nullTranslator).load('syla_jupyter');
  const texts: TranslationBundle = Object.create(plain);
  texts.__ = (text, ...parts) => plain.__(text, ...parts.map(isolated));
  texts._n = (text, many, count, ...parts) =>
    plain._n(text, many, count, ...parts.map(isolated));
  return texts;
}
