//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The page: before a conversation, during it, and after. */
import { useSyncExternalStore } from "react";

import type { Call } from "./call";
import { CallView } from "./components/CallView";
import { EventLog } from "./components/EventLog";
import { Mark } from "./components/Portrait";
import { StartView } from "./components/StartView";

export function App({ call }: { call: Call }) {
  const view = useSyncExternalStore(call.subscribe, call.view);
  const { name } = view.state;
  const before = name === "loading" || name === "idle";
  return (
    <div className="page">
      <header className="top">
        <Mark />
        <span>
          Tavus <span className="quiet">for TEN</span>
        </span>
      </header>
      <main data-state={name} className={before ? "before" : "during"}>
        {before ? (
          <StartView call={call} view={view} />
        ) : (
          <>
            <CallView call={call} view={view} />
            <EventLog lines={view.lines} />
          </>
        )}
      </main>
      <footer className="bottom" key={before ? "before" : "during"}>
        A conversation is billed while it runs. Leaving, or closing this tab,
        ends yours.
      </footer>
    </div>
  );
}
