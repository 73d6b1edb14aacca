//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Where one writes to the face: for who has no microphone, or no voice. */
import { useState, type RefObject, type SyntheticEvent } from "react";

const MAX_TEXT = 1000;

interface Props {
  field: RefObject<HTMLInputElement | null>;
  /** Whether the face is there to read it. */
  ready: boolean;
  onSay: (text: string) => void;
}

export function WriteBox({ field, ready, onSay }: Props) {
  const [text, setText] = useState("");
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (!ready || !text.trim()) return;
    onSay(text.trim());
    setText("");
  };
  return (
    <form className="write" autoComplete="off" onSubmit={submit}>
      <label className="unseen" htmlFor="write">
        Write to the face
      </label>
      <input
        ref={field}
        id="write"
        dir="auto"
        maxLength={MAX_TEXT}
        enterKeyHint="send"
        placeholder="Type here"
        value={text}
        data-testid="text"
        onChange={(event) => {
          setText(event.target.value);
        }}
      />
      <button type="submit" aria-disabled={!ready} data-testid="say">
        Send
      </button>
    </form>
  );
}
