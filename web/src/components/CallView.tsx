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
import type { State } from "../session";
import { clock } from "../words";
import { EndedCard, ErrorCard, Notice } from "./Cards";
import { Icon, type IconName } from "./icons";
import { Mark } from "./Portrait";

const STATUS: Record<State["name"], string> = {
  loading: "",
  idle: "",
  creating: "Creating your conversation…",
  joining: "Joining the room…",
  waiting: "Waiting for the face to join…",
  live: "Live",
  ending: "Ending the conversation…",
  ended: "",
  failed: "",
};
const STEPS: State["name"][] = ["creating", "joining", "waiting", "live"];
// A face that was not kept warm takes up to minutes: tavus-cli waits 300 s.
const SLOW_MS = 15_000;

export function CallView({ call, view }: { call: Call; view: View }) {
  const { state, notice } = view;
  const closed = state.name === "ended" || state.name === "failed";
  return (
    <div className="call">
      {/* The cards bring a heading of their own. */}
      {!closed && <h1 className="unseen">Your conversation</h1>}
      <div className="room" inert={closed} data-hidden={closed}>
        <div className="stage" data-testid="stage">
          <Frame call={call} />
          {(state.name === "creating" || state.name === "ending") && (
            <div className="curtain">
              <Mark />
            </div>
          )}
          {notice && <Notice call={call} problem={notice} />}
        </div>
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
        />
      )}
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
  const slow = useSlow(name === "waiting");
  useEffect(() => {
    // The button that began this is gone; go on from here.
    if (name === "creating") status.current?.focus();
  }, [name]);
  const at = STEPS.indexOf(name);
  const text = view.linked
    ? slow
      ? "Still waiting. It can take a minute…"
      : STATUS[name]
    : "Reconnecting…";
  return (
    <div className="status-line" data-state={name} data-linked={view.linked}>
      <p
        ref={status}
        className="status"
        role="status"
        tabIndex={-1}
        data-testid="status"
      >
        {text}
      </p>
      {view.liveSinceMs !== null && <Elapsed sinceMs={view.liveSinceMs} />}
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
  const inside = name === "waiting" || name === "live";
  const ours = "conversation" in state ? state.conversation : null;
  const early = name === "creating";
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
        <Control
          icon="interrupt"
          label="Interrupt"
          testId="interrupt"
          disabled={name !== "live"}
          onClick={() => {
            call.interrupt();
          }}
        />
      ) : (
        <>
          <Control
            icon="camera"
            off={!camera}
            label="Camera"
            pressed={camera}
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
        label={early ? "Cancel" : "Leave"}
        testId="leave"
        className="danger"
        disabled={name === "ending"}
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
  /** For a label that stays as it is. */
  pressed?: boolean;
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
      aria-pressed={props.pressed}
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

function useSlow(waiting: boolean): boolean {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!waiting) return;
    const timer = setTimeout(() => {
      setSlow(true);
    }, SLOW_MS);
    return () => {
      clearTimeout(timer);
      setSlow(false);
    };
  }, [waiting]);
  return slow && waiting;
}
