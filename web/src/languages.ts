//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The languages Tavus speaks: docs.tavus.io, language support. */

const NAMES =
  "Arabic Bengali Bulgarian Chinese Croatian Czech Danish Dutch English " +
  "Finnish French Georgian German Greek Gujarati Hebrew Hindi Hungarian " +
  "Indonesian Italian Japanese Korean Malay Malayalam Marathi Norwegian " +
  "Polish Portuguese Punjabi Romanian Russian Slovak Spanish Swedish " +
  "Tagalog Tamil Telugu Thai Turkish Ukrainian Vietnamese";

/** What a select offers: value and label. */
export const LANGUAGES: readonly (readonly [string, string])[] = [
  ["", "As configured"],
  ["multilingual", "Detect"],
  ...NAMES.split(" ").map((name) => [name.toLowerCase(), name] as const),
];
