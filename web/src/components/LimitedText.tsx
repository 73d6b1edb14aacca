//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** A text of limited length, which says how long it is. */
import { useEffect, useId, useRef } from "react";

interface Props {
  label: string;
  hint: string;
  rows: number;
  /** In characters, as the server counts them. */
  limit: number;
  value: string;
  onChange: (value: string) => void;
}

const NUMBER = new Intl.NumberFormat("en");

/** Nothing is cut: who pasted too much decides what goes. */
export function LimitedText(props: Props) {
  const { label, hint, rows, limit, value, onChange } = props;
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  // JavaScript counts some characters, such as emoji, twice.
  const length = Array.from(value).length;
  const tooMuch = length - limit;
  useEffect(() => {
    area.current?.setCustomValidity(
      tooMuch > 0
        ? `Too long by ${NUMBER.format(tooMuch)} characters. Please shorten it.`
        : "",
    );
  }, [tooMuch]);
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} <small>{hint}</small>
      </label>
      <textarea
        ref={area}
        id={id}
        aria-describedby={`${id}-count`}
        rows={rows}
        dir="auto"
        value={value}
        aria-invalid={tooMuch > 0}
        onChange={(event) => {
          onChange(event.target.value);
        }}
      />
      <span
        id={`${id}-count`}
        className="count"
        data-over={tooMuch > 0}
        data-testid="count"
      >
        {NUMBER.format(length)} of {NUMBER.format(limit)} characters
        {tooMuch > 0 && `: ${NUMBER.format(tooMuch)} too many`}
      </span>
    </div>
  );
}
