/**
 * Scores as `tokenizers` reads them: its JSON reader takes a number's digits as one integer, rounds that to a double,
 * and divides by a power of ten, which rounds again. Where two ways to write a word score alike, the last bit decides.
 */

/** `value` is what a reader gives that rounds once; its shortest digits are taken for those of the file. */
export function scoreOf(value: number): number {
  const [mantissa, exponentDigits] = String(Math.abs(value)).split("e");
  const [whole, fraction = ""] = mantissa!.split(".");
  const exponent = Number(exponentDigits ?? 0) - fraction.length;
  const digits = Number(whole + fraction);
  const size = exponent < 0 ? dividedBy(digits, -exponent) : digits * powerOfTen(exponent);
  return value < 0 ? -size : size;
}

function dividedBy(digits: number, places: number): number {
  return places <= 308 ? digits / powerOfTen(places) : digits / 1e308 / powerOfTen(places - 308);
}

/** The double nearest to it. */
function powerOfTen(exponent: number): number {
  return Number(`1e${exponent}`);
}
