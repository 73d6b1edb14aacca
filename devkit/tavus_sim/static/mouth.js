//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// Which letter makes which mouth; both numbers run from 0 to 1.

export const CLOSED = Object.freeze({ open: 0, wide: 0.5 });

const SHAPES = {
  a: [0.95, 0.55],
  e: [0.55, 0.85],
  i: [0.4, 1],
  o: [0.8, 0.15],
  u: [0.5, 0.05],
  y: [0.4, 0.5],
  w: [0.35, 0],
  m: [0, 0.4],
  b: [0, 0.5],
  p: [0, 0.5],
  f: [0.12, 0.6],
  v: [0.12, 0.6],
  l: [0.45, 0.6],
  r: [0.35, 0.3],
};
const OTHER_LETTER = [0.3, 0.6];

/**
 * @param {string} text
 * @param {number} index of the letter that is being said
 * @returns {{open: number, wide: number}}
 */
export function shapeOf(text, index) {
  const letter = text.charAt(index).normalize("NFD").charAt(0).toLowerCase();
  if (!/[\p{L}\p{N}]/u.test(letter)) return CLOSED;
  let [open, wide] = SHAPES[letter] ?? OTHER_LETTER;
  // Scripts that the table does not know still open and close the mouth.
  if (letter > "ɏ") [open, wide] = index % 2 ? [0.7, 0.5] : [0.25, 0.6];
  return { open, wide };
}
