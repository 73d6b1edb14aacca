//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The access token, kept until this tab is closed and no longer. */

const KEY = "tavus_token";
// Where the browser keeps nothing for this site, at least until the reload.
let memory = "";

export function readToken(): string {
  try {
    return sessionStorage.getItem(KEY) ?? memory;
  } catch {
    return memory;
  }
}

export function keepToken(token: string): void {
  memory = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Forbidden by the browser's settings; memory has it.
  }
}
