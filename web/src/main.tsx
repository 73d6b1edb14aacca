//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Puts the page on screen. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Api } from "./api";
import { App } from "./App";
import { Call } from "./call";
import { makeRoom } from "./rooms";
import { EventStream } from "./stream";
import "./styles.css";
import { readToken } from "./token";

const api = new Api(readToken);
const call = new Call({
  api,
  makeRoom,
  openStream: (listener) => new EventStream(api, listener),
  // Browsers have it on secure addresses only, whatever the types say.
  locks: (navigator as { locks?: LockManager }).locks,
});
void call.load();

addEventListener("pagehide", () => {
  call.keep();
});
for (const name of ["online", "offline"])
  addEventListener(name, () => {
    call.setOnline(navigator.onLine);
  });
// A page that comes out of the browser's back-forward cache left its room.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <App call={call} />
    </StrictMode>,
  );
