//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The page: before a conversation, during it, and after. */
import { useRef, useSyncExternalStore } from "react";

import type { Call } from "./call";
import { CallView } from "./components/CallView";
import { EventLog } from "./components/EventLog";
import { Mark } from "./components/Portrait";
import { StartView } from "./components/StartView";
import { WriteBox } from "./components/WriteBox";
import { isInRoom } from "./session";

export function App({ call }: { call: Call }) {
  const view = useSyncExternalStore(call.subscribe, call.view);
  const { name } = view.state;
  const field = useRef<HTMLInputElement>(null);
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
            <CallView
              call={call}
              view={view}
              onWrite={() => field.current?.focus()}
            />
            <EventLog lines={view.lines}>
              {isInRoom(view.state) && view.takes.includes("text") && (
                <WriteBox
                  field={field}
                  ready={name === "live"}
                  onSay={(text) => {
                    call.say(text);
                  }}
                />
              )}
            </EventLog>
          </>
        )}
      </main>
      <footer className="bottom" key={`${before} ${view.config?.simulated}`}>
        {view.config?.simulated
          ? "A simulation: nothing is paid for."
          : view.config && "A conversation is billed while it runs."}{" "}
        {view.config && "Leaving, or closing this tab, ends yours."}
      </footer>
    </div>
  );
}
