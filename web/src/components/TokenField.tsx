//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
/** Where a person enters the access token. */

interface Props {
  value: string;
  onChange: (value: string) => void;
}

export function TokenField({ value, onChange }: Props) {
  return (
    <label className="field">
      <span>Access token</span>
      <input
        type="password"
        autoComplete="off"
        required
        value={value}
        data-testid="token"
        onChange={(event) => {
          onChange(event.target.value);
        }}
      />
    </label>
  );
}
