//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** The room on screen, where the visit stands, and the controls. */
import { useEffect, useRef, useState } from "react";

import type { Conversation } from "../api";
import type { Call, View } from "../call";
import { isPrivate } from "../rooms";
import { isInRoom, type State } from "../session";
import { clock } from "../words";
import { statusOf } from "../status";
import { EndedCard, ElsewhereCard, ErrorCard, Notice } from "./Cards";
import { Icon, type IconName } from "./icons";
import { Mark } from "./Portrait";

const STEPS: State["name"][] = ["creating", "joining", "waiting", "live"];
const SLOW_MS: Partial<Record<State["name"], number>> = {
  creating: 8_000,
  joining: 8_000,
  waiting: 15_000,
  // Before that, a second press is one too many.
  ending: 2_000,
};
const CURTAINED: State["name"][] = ["creating", "away", "ending"];

interface CallViewProps {
  call: Call;
  view: View;
  /** Goes to where one can write. */
  onWrite: () => void;
}

export function CallView({ call, view, onWrite }: CallViewProps) {
  const { state, notice } = view;
  const closed =
    state.name === "ended" ||
    state.name === "failed" ||
    state.name === "elsewhere";
  return (
    <div className="call">
      {/* The cards bring a heading of their own. */}
      {!closed && <h1 className="unseen">Your conversation</h1>}
      <div className="room" inert={closed} data-hidden={closed}>
        <div className="stage" data-testid="stage">
          <Frame call={call} />
          {CURTAINED.includes(state.name) && (
            <div className="curtain">
              <Mark />
            </div>
          )}
        </div>
        {notice && (
          <Notice
            call={call}
            problem={notice}
            write={view.takes.includes("text") ? onWrite : null}
          />
        )}
        <Status view={view} />
        <Controls call={call} view={view} />
      </div>
      {state.name === "failed" && (
        <ErrorCard
          key={state.problem.kind}
          call={call}
          problem={state.problem}
        />
      )}
      {state.name === "ended" && (
        <EndedCard
          call={call}
          reason={state.reason}
          durationMs={state.durationMs}
          options={view.config?.mode !== "livekit"}
        />
      )}
      {state.name === "elsewhere" && <ElsewhereCard call={call} />}
    </div>
  );
}

/** Where the room puts itself; React leaves what is inside alone. */
function Frame({ call }: { call: Call }) {
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    call.setStage(frame.current);
    return () => {
      call.setStage(null);
    };
  }, [call]);
  return <div className="frame" ref={frame} />;
}

function Status({ view }: { view: View }) {
  const { name } = view.state;
  const status = useRef<HTMLParagraphElement>(null);
  const slow = useSlow(name);
  useEffect(() => {
    // The button that began this is gone; go on from here.
    if (name === "creating") status.current?.focus();
  }, [name]);
  const at = STEPS.indexOf(name);
  const { text, reason, well } = statusOf(view, slow);
  return (
    <div className="status-line" data-state={name} data-well={well}>
      <p
        ref={status}
        className="status"
        role="status"
        tabIndex={-1}
        data-testid="status"
      >
        {text}
      </p>
      {view.sinceMs !== null && <Elapsed sinceMs={view.sinceMs} />}
      <p className="reason" role="status" data-testid="reason">
        {reason}
      </p>
      <div className="steps" aria-hidden="true">
        {STEPS.map((step, index) => (
          <i key={step} data-done={index < at} data-now={index === at} />
        ))}
      </div>
    </div>
  );
}

function Elapsed({ sinceMs }: { sinceMs: number }) {
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => {
      setNowMs(Date.now());
    }, 1000);
    return () => {
      clearInterval(timer);
    };
  }, []);
  return (
    <span className="elapsed" role="timer" aria-label="Time together">
      {clock(Math.max(nowMs - sinceMs, 0))}
    </span>
  );
}

function Controls({ call, view }: { call: Call; view: View }) {
  const { state, microphone, camera } = view;
  const { name } = state;
  const inside = name === "waiting" || name === "live" || name === "away";
  const ours = isInRoom(state) ? state.conversation : null;
  const early = name === "creating";
  const slow = useSlow(name);
  const skips = name === "ending" && slow;
  const livekit = view.config?.mode === "livekit";
  return (
    <div className="controls" role="group" aria-label="Call controls">
      <Control
        icon="microphone"
        off={!microphone}
        label={microphone ? "Mute" : "Unmute"}
        testId="mic"
        disabled={!inside}
        onClick={() => {
          call.setMicrophone(!microphone);
        }}
      />
      {/* In a room of LiveKit nobody watches, and its key is ours alone. */}
      {livekit ? (
        view.takes.includes("interrupt") && (
          <Control
            icon="interrupt"
            label="Interrupt"
            testId="interrupt"
            disabled={name !== "live"}
            onClick={() => {
              call.interrupt();
            }}
          />
        )
      ) : (
        <>
          <Control
            icon="camera"
            off={!camera}
            label={camera ? "Stop camera" : "Start camera"}
            testId="camera"
            disabled={!inside}
            onClick={() => {
              call.setCamera(!camera);
            }}
          />
          <CopyLink conversation={ours} />
        </>
      )}
      <Control
        icon="leave"
        label={early ? "Cancel" : skips ? "Don’t wait" : "Leave"}
        testId="leave"
        className="danger"
        disabled={name === "ending" && !slow}
        onClick={() => {
          call.leave();
        }}
      />
    </div>
  );
}

function CopyLink({ conversation }: { conversation: Conversation | null }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => {
      setSaid("");
    }, 2500);
    return () => {
      clearTimeout(timer);
    };
  }, [said]);
  const locked = conversation !== null && isPrivate(conversation.join_url);
  const copy = (url: string) => {
    navigator.clipboard.writeText(url).then(
      () => {
        setSaid("Copied");
      },
      () => {
        setSaid("Not allowed");
      },
    );
  };
  return (
    <>
      <Control
        icon={locked ? "lock" : "link"}
        label={said || (locked ? "Private" : "Copy link")}
        testId="copy"
        disabled={conversation === null || locked}
        title={
          locked ? "Its link holds your own key, so it is not for sharing." : ""
        }
        onClick={() => {
          if (conversation)
            copy(conversation.conversation_url || conversation.join_url);
        }}
      />
      <span className="unseen" role="status">
        {said && `${said}: link of the room`}
      </span>
    </>
  );
}

interface ControlProps {
  icon: IconName;
  off?: boolean;
  label: string;
  testId: string;
  className?: string;
  disabled: boolean;
  title?: string;
  onClick: () => void;
}

/** A button that keeps the focus while it cannot be used. */
function Control(props: ControlProps) {
  const { icon, off = false, label, testId, disabled, title } = props;
  return (
    <button
      type="button"
      className={`control ${props.className ?? ""}`}
      data-testid={testId}
      data-off={off}
      aria-disabled={disabled}
      title={title || undefined}
      onClick={() => {
        if (!disabled) props.onClick();
      }}
    >
      <Icon name={icon} off={off} />
      {/* A new word is a new element: nothing moves for its sake. */}
      <span key={label}>{label}</span>
    </button>
  );
}

/** Whether this state lasts longer than it usually does. */
function useSlow(name: State["name"]): boolean {
  const [slow, setSlow] = useState<State["name"] | null>(null);
  useEffect(() => {
    const ms = SLOW_MS[name];
    if (ms === undefined) return;
    const timer = setTimeout(() => {
      setSlow(name);
    }, ms);
    return () => {
      clearTimeout(timer);
      setSlow(null);
    };
  }, [name]);
  return slow === name;
}
