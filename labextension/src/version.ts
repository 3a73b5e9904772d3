/** Of this package, Python part and browser part: a test holds them together. */
export const VERSION = '0.1.0';
