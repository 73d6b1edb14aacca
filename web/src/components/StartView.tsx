//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The start: what this is, one button, and what may be chosen. */
import { useEffect, useRef, useState, type SyntheticEvent } from "react";

import type { Options } from "../api";
import type { Call, View } from "../call";
import { LANGUAGES } from "../languages";
import { keepToken, readToken } from "../token";
import { LimitedText } from "./LimitedText";
import { Portrait } from "./Portrait";
import { TokenField } from "./TokenField";

export function StartView({ call, view }: { call: Call; view: View }) {
  return (
    <div className="start">
      <div className="pitch">
        <h1>Talk to a face.</h1>
        <p className="lead">
          A digital human who listens, answers and looks back at you, in a video
          call that starts with one press.
        </p>
        {view.config?.simulated && (
          <p className="simulated" data-testid="simulated">
            <strong>This is a simulation.</strong> The face is drawn on the
            server&rsquo;s machine and repeats what you say. Nothing is paid
            for.
          </p>
        )}
        {/* Not before it is known whether a call runs already. */}
        {view.config && view.state.name === "idle" ? (
          <StartForm
            call={call}
            tokenNeeded={view.config.token_needed}
            livekit={view.config.mode === "livekit"}
            limits={view.config.limits}
          />
        ) : (
          <div className="form-space" />
        )}
      </div>
      <Portrait />
    </div>
  );
}

interface StartFormProps {
  call: Call;
  tokenNeeded: boolean;
  /** Then the graph decides what the options would. */
  livekit: boolean;
  limits: { custom_greeting: number; conversational_context: number };
}

function StartForm({ call, tokenNeeded, livekit, limits }: StartFormProps) {
  const [options, setOptions] = useState<Options>(call.options);
  const [token, setToken] = useState(readToken);
  const button = useRef<HTMLButtonElement>(null);
  const change = (part: Partial<Options>) => {
    setOptions({ ...options, ...part });
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (tokenNeeded) keepToken(token.trim());
    call.start(options);
  };
  // Whoever comes back from a call goes on where the call began.
  const returned = call.visits > 0;
  useEffect(() => {
    if (returned) button.current?.focus();
  }, [returned]);
  return (
    <form onSubmit={submit}>
      {tokenNeeded && <TokenField value={token} onChange={setToken} />}
      <button
        ref={button}
        type="submit"
        className="primary large"
        data-testid="start"
      >
        Start conversation
      </button>
      {!livekit && (
        <details
          data-testid="options"
          onInvalidCapture={(event) => {
            // What is wrong must be seen.
            event.currentTarget.open = true;
          }}
        >
          <summary>Options</summary>
          <div className="fields">
            <label className="field">
              <span>Language</span>
              <select
                value={options.language}
                onChange={(event) => {
                  change({ language: event.target.value });
                }}
              >
                {LANGUAGES.map(([value, label]) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </select>
            </label>
            <LimitedText
              label="Greeting"
              hint="what the face says first"
              rows={2}
              limit={limits.custom_greeting}
              value={options.custom_greeting}
              onChange={(custom_greeting) => {
                change({ custom_greeting });
              }}
            />
            <LimitedText
              label="What it should know"
              hint="about you, or the task"
              rows={3}
              limit={limits.conversational_context}
              value={options.conversational_context}
              onChange={(conversational_context) => {
                change({ conversational_context });
              }}
            />
          </div>
        </details>
      )}
      <p className="hint">
        Your browser will ask for the microphone.{" "}
        {!livekit && "The camera stays off until you turn it on."}
      </p>
    </form>
  );
}
