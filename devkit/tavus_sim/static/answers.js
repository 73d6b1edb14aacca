//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// What the simulated face says. It understands nothing and says so.

const STOCK_GREETING =
  "Hello! I am a simulated face. Say something, and I will repeat it.";
const LONGEST_QUOTE = 160;

export const UNHEARD =
  "I can tell that you speak, but a simulation understands no speech. " +
  "Please type to me.";

/**
 * What the face says when it comes in; empty for nothing.
 *
 * Without a greeting of its own a stock persona greets in stock words; one
 * in echo mode only ever says what it is told.
 */
export function greeting({ custom_greeting, pipeline_mode }) {
  return custom_greeting ?? (pipeline_mode === "echo" ? "" : STOCK_GREETING);
}

/**
 * What to do about something that was said.
 *
 * @param {string} text
 * @param {{context: string, camera: boolean}} known
 * @returns {{say: string} | {tool: {name: string, args: string}} |
 *     {look: {name: string, args: object}, say: string}}
 */
export function answerTo(text, { context, camera }) {
  const tool = /^tool\s+(\S+)\s*(.*)$/is.exec(text.trim());
  if (tool) {
    const [, name, args] = tool;
    return isObject(args || "{}")
      ? { tool: { name, args: args || "{}" } }
      : { say: `What follows “tool ${name}” must be a JSON object.` };
  }
  if (/^look\b/i.test(text.trim())) {
    return {
      look: { name: "describe_scene", args: { camera_on: camera } },
      say: camera
        ? "Your camera is on. That is all a simulation can see."
        : "Your camera is off, so there is nothing to see.",
    };
  }
  const kept = context ? ` I keep in mind: ${quoted(context)}.` : "";
  return { say: `You said: ${quoted(text)}.${kept}` };
}

/** What the face says when a tool has answered. */
export function toolAnswer({ name, status = "success", output }) {
  const said = typeof output === "string" ? output : JSON.stringify(output);
  const tool = name ? `The tool ${name}` : "The tool";
  return status === "success" ? said : `${tool} failed: ${said}`;
}

function quoted(text) {
  const line = text.trim().replace(/\s+/g, " ").replace(/[.!]+$/, "");
  const short = line.slice(0, LONGEST_QUOTE);
  return `“${short}${short === line ? "" : "…"}”`;
}

function isObject(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && value.constructor === Object;
  } catch (problem) {
    if (problem instanceof SyntaxError) return false;
    throw problem;
  }
}
