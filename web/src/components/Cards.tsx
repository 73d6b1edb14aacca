//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The cards: why something failed, and how a conversation ended. */
import {
  useEffect,
  useRef,
  useState,
  type ReactNode,
  type SyntheticEvent,
} from "react";

import type { Problem } from "../api";
import type { Call } from "../call";
import { adviceFor, type Remedy } from "../errors";
import { keepToken } from "../token";
import { durationInWords, reasonInWords } from "../words";
import { Mark } from "./Portrait";
import { TokenField } from "./TokenField";

const LABELS: Record<Remedy, string> = {
  retry: "Try again",
  another: "Start another",
  reload: "Reload the page",
  token: "Try again",
  microphone: "Try again",
  sound: "Play the sound",
};

/** In place of the room: the visit cannot go on. */
export function ErrorCard({ call, problem }: { call: Call; problem: Problem }) {
  const advice = adviceFor(problem);
  const waitS = useCountdown(problem.retryAfterS ?? 0);
  const loaded = call.view().config !== null;
  // Nothing can be started by a page that knows nothing of its server.
  const remedy = loaded ? advice.remedy : "reload";
  const [token, setToken] = useState("");
  const act = () => {
    if (remedy === "reload") {
      location.reload();
      return;
    }
    if (remedy === "token") keepToken(token.trim());
    call.start();
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    act();
  };
  return (
    <Card className="card problem" testId="card-error" kind={problem.kind}>
      <CardTitle>{advice.title}</CardTitle>
      <p>{advice.what}</p>
      <p>{advice.todo}</p>
      {waitS > 0 && (
        <p className="wait">
          You can try again in {waitS} {waitS === 1 ? "second" : "seconds"}.
        </p>
      )}
      <form onSubmit={submit}>
        {remedy === "token" && <TokenField value={token} onChange={setToken} />}
        <div className="actions">
          <button type="submit" className="primary" data-testid="retry">
            {LABELS[remedy]}
          </button>
          {loaded && (
            <button
              type="button"
              data-testid="back"
              onClick={() => {
                call.reset();
              }}
            >
              Back
            </button>
          )}
        </div>
      </form>
      <ForTheOwner problem={problem} hint={advice.owner} />
    </Card>
  );
}

interface NoticeProps {
  call: Call;
  problem: Problem;
  /** Goes to where one can write; null where nobody reads that. */
  write: (() => void) | null;
}

/** Below the room, which goes on. */
export function Notice({ call, problem, write }: NoticeProps) {
  const advice = adviceFor(problem);
  const mute = problem.kind === "microphone_denied" && write !== null;
  return (
    <div
      className="card problem notice"
      role="alert"
      data-testid="card-error"
      data-kind={problem.kind}
    >
      <h2>{advice.title}</h2>
      <p>
        {advice.what} {advice.todo} {mute && "Or write to the face instead."}
      </p>
      <div className="actions">
        <button
          type="button"
          className="primary"
          data-testid="retry"
          onClick={() => {
            // The press itself is what the browser waits for.
            if (advice.remedy === "sound") call.dismiss();
            else if (problem.kind === "camera_denied") call.setCamera(true);
            else call.setMicrophone(true);
          }}
        >
          {LABELS[advice.remedy]}
        </button>
        {mute && (
          <button
            type="button"
            data-testid="write"
            onClick={() => {
              call.dismiss();
              write();
            }}
          >
            Write instead
          </button>
        )}
        {advice.remedy !== "sound" && (
          <button
            type="button"
            data-testid="dismiss"
            onClick={() => {
              call.dismiss();
            }}
          >
            Go on without
          </button>
        )}
      </div>
    </div>
  );
}

interface EndedCardProps {
  call: Call;
  reason: string;
  durationMs: number | null;
  /** Whether a start has options that can be changed. */
  options: boolean;
}

export function EndedCard(props: EndedCardProps) {
  const { call, reason, durationMs, options } = props;
  return (
    <Card className="card" testId="card-ended" kind={reason}>
      <CardTitle>Conversation ended</CardTitle>
      <p>{reasonInWords(reason)}</p>
      {durationMs !== null && (
        <p className="duration">
          It took <strong>{durationInWords(durationMs)}</strong>.
        </p>
      )}
      <div className="actions">
        <button
          type="button"
          className="primary"
          data-testid="start"
          onClick={() => {
            call.start();
          }}
        >
          Start again
        </button>
        <button
          type="button"
          data-testid="back"
          onClick={() => {
            call.reset();
          }}
        >
          {options ? "Change options" : "Back"}
        </button>
      </div>
    </Card>
  );
}

/** In place of the room: it is in another tab of this browser. */
export function ElsewhereCard({ call }: { call: Call }) {
  return (
    <Card className="card" testId="card-elsewhere" kind="elsewhere">
      <CardTitle>You are talking in another tab</CardTitle>
      <p>
        Your conversation goes on there. This tab can take it over; the other
        one then shows this card.
      </p>
      <div className="actions">
        <button
          type="button"
          className="primary"
          data-testid="take"
          onClick={() => {
            call.take();
          }}
        >
          Go on here
        </button>
        <button
          type="button"
          data-testid="end"
          onClick={() => {
            call.leave();
          }}
        >
          End it
        </button>
      </div>
    </Card>
  );
}

interface CardProps {
  className: string;
  testId: string;
  kind: string;
  children: ReactNode;
}

function Card({ className, testId, kind, children }: CardProps) {
  return (
    <section className={className} data-testid={testId} data-kind={kind}>
      <Mark />
      {children}
    </section>
  );
}

/** Takes the focus, so that a screen reader reads on from here. */
function CardTitle({ children }: { children: ReactNode }) {
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    title.current?.focus();
  }, []);
  return (
    <h1 ref={title} tabIndex={-1}>
      {children}
    </h1>
  );
}

interface OwnerProps {
  problem: Problem;
  hint: string | undefined;
}

/** What helps whoever runs the server, and nobody else. */
function ForTheOwner({ problem, hint }: OwnerProps) {
  return (
    <details className="owner">
      <summary>For whoever runs this server</summary>
      {hint && <p>{hint}</p>}
      <p className="detail">
        <span className="kind">{problem.kind}</span> {problem.detail}
      </p>
    </details>
  );
}

function useCountdown(fromS: number): number {
  const [leftS, setLeftS] = useState(fromS);
  useEffect(() => {
    const untilMs = Date.now() + fromS * 1000;
    const timer = setInterval(() => {
      const leftMs = Math.max(untilMs - Date.now(), 0);
      setLeftS(Math.ceil(leftMs / 1000));
      if (leftMs === 0) clearInterval(timer);
    }, 250);
    return () => {
      clearInterval(timer);
    };
  }, [fromS]);
  return leftS;
}
