//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The cards: why something failed, and how a conversation ended. */
import { useEffect, useRef, useState, type ReactNode } from "react";

import type { Problem } from "../api";
import type { Call } from "../call";
import { adviceFor, type Remedy } from "../errors";
import { durationInWords, reasonInWords } from "../words";
import { Mark } from "./Portrait";

const LABELS: Record<Remedy, string> = {
  retry: "Try again",
  reload: "Reload the page",
  token: "Enter the token",
  end: "End it now",
  microphone: "Try again",
};

/** In place of the room: the visit cannot go on. */
export function ErrorCard({ call, problem }: { call: Call; problem: Problem }) {
  const advice = adviceFor(problem);
  const waitS = useCountdown(problem.retryAfterS ?? 0);
  const loaded = call.view().config !== null;
  // Nothing can be started by a page that knows nothing of its server.
  const remedy = loaded ? advice.remedy : "reload";
  const act = () => {
    if (remedy === "reload") location.reload();
    else if (remedy === "token") call.reset();
    else if (remedy === "end") call.leave();
    else call.start();
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
      <Detail problem={problem} />
      <div className="actions">
        <button
          type="button"
          className="primary"
          data-testid="retry"
          onClick={act}
        >
          {LABELS[remedy]}
        </button>
        {loaded && remedy !== "token" && (
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
    </Card>
  );
}

/** Over the room, which goes on. */
export function Notice({ call, problem }: { call: Call; problem: Problem }) {
  const advice = adviceFor(problem);
  return (
    <div
      className="card problem notice"
      role="alert"
      data-testid="card-error"
      data-kind={problem.kind}
    >
      <h2>{advice.title}</h2>
      <p>
        {advice.what} {advice.todo}
      </p>
      <div className="actions">
        <button
          type="button"
          className="primary"
          data-testid="retry"
          onClick={() => {
            if (problem.kind === "camera_denied") call.setCamera(true);
            else call.setMicrophone(true);
          }}
        >
          {LABELS[advice.remedy]}
        </button>
        <button
          type="button"
          data-testid="dismiss"
          onClick={() => {
            call.dismiss();
          }}
        >
          Go on without
        </button>
      </div>
    </div>
  );
}

interface EndedCardProps {
  call: Call;
  reason: string;
  durationMs: number | null;
}

export function EndedCard({ call, reason, durationMs }: EndedCardProps) {
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
          Change options
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

function Detail({ problem }: { problem: Problem }) {
  return problem.detail ? (
    <p className="detail">
      <span className="kind">{problem.kind}</span> {problem.detail}
    </p>
  ) : null;
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
