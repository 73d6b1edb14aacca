//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// The drawn face: it breathes, blinks, looks about, listens and speaks.

import { CLOSED } from "./mouth.js";

const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Face {
  /** @param {SVGSVGElement} svg the drawing in room.html */
  constructor(svg) {
    const part = (name) => svg.querySelector(`[data-part=${name}]`);
    this._head = part("head");
    this._body = part("body");
    this._brows = part("brows");
    this._eyes = svg.querySelectorAll("[data-part=eye]");
    this._irises = svg.querySelectorAll("[data-part=iris]");
    this._lips = svg.querySelectorAll("[data-part=lips]");
    this._teeth = part("teeth");
    this._tongue = part("tongue");
    this._level = 0;
    this._mouth = CLOSED;
    this._shown = { open: 0, wide: 0.5, attention: 0, gazeX: 0, gazeY: 0 };
    this._gaze = { x: 0, y: 0 };
    this._nextGlance = 0;
    this._nextBlink = 1500;
    this._frame = null;
  }

  start() {
    this._frame ??= requestAnimationFrame((now) => this._draw(now));
  }

  stop() {
    cancelAnimationFrame(this._frame);
    this._frame = null;
  }

  /** @param {{open: number, wide: number}} shape */
  mouth(shape) {
    this._mouth = shape;
  }

  /** @param {number} level of the person's voice, from 0 to 1 */
  listen(level) {
    this._level = level;
  }

  _draw(now) {
    const shown = this._shown;
    const still = STILL.matches;
    const speaking = this._mouth.open > 0.05;
    // Attention comes quickly and goes slowly.
    const attention = Math.min(1, this._level * 2);
    const haste = attention > shown.attention ? 0.2 : 0.02;
    approach(shown, "attention", attention, haste);
    const open = still ? Number(speaking) * 0.5 : this._mouth.open;
    approach(shown, "open", open, 0.5);
    approach(shown, "wide", this._mouth.wide, 0.4);
    this._look(now, still || attention > 0.1);
    approach(shown, "gazeX", this._gaze.x, 0.12);
    approach(shown, "gazeY", this._gaze.y, 0.12);
    this._drawMouth(shown);
    this._drawEyes(now, shown, still);
    this._drawPose(now, shown, still);
    this._frame = requestAnimationFrame((next) => this._draw(next));
  }

  /** Mostly at you; now and then somewhere else, as people do. */
  _look(now, atYou) {
    if (atYou) {
      this._gaze = { x: 0, y: 0 };
    } else if (now > this._nextGlance) {
      const away = Math.random() < 0.35;
      const x = away ? (Math.random() - 0.5) * 9 : 0;
      const y = away ? (Math.random() - 0.6) * 4 : 0;
      this._gaze = { x, y };
      this._nextGlance = now + (away ? 600 : 2200) + Math.random() * 1500;
    }
  }

  _drawMouth({ open, wide, attention }) {
    const w = 15 + wide * 9;
    const drop = open * 25;
    const smile = 3.5 * (1 - open) + attention * 1.5;
    const corner = -smile;
    const top = 1.5 - open * 5;
    const low = smile * 0.9 + drop;
    const lips =
      `M${-w} ${corner}Q${-w / 2} ${top} 0 ${top}T${w} ${corner}` +
      `Q${w * 0.8} ${low} 0 ${low}T${-w} ${corner}Z`;
    this._lips.forEach((path) => path.setAttribute("d", lips));
    const seen = open > 0.12 ? 1 : 0;
    this._teeth.setAttribute("opacity", seen);
    this._tongue.setAttribute("opacity", open > 0.3 ? 1 : 0);
    this._tongue.setAttribute("cy", 7 + drop);
  }

  _drawEyes(now, { gazeX, gazeY, attention }, still) {
    let lid = 1;
    if (!still) {
      const into = now - this._nextBlink;
      if (into > 160) {
        this._nextBlink = now + 1800 + Math.random() * 4200;
      } else if (into > 0) {
        lid = Math.abs(into - 80) / 80;
      }
    }
    const scale = Math.max(0.06, lid) * (1 + attention * 0.08);
    this._eyes.forEach((eye) => transform(eye, `scale(1 ${scale})`));
    this._irises.forEach((iris) =>
      transform(iris, `translate(${gazeX} ${gazeY})`),
    );
    const raised = attention * 5 + this._shown.open * 2;
    transform(this._brows, `translate(0 ${-raised})`);
  }

  _drawPose(now, { attention, open, gazeX }, still) {
    if (still) return;
    const breath = Math.sin(now / 1500);
    const sway = Math.sin(now / 2300) * 0.8 + gazeX * 0.18;
    const nod = attention * (2 + Math.sin(now / 260) * 1.6);
    const bob = Math.sin(now / 190) * open * 1.2;
    transform(this._body, `translate(0 ${breath * 1.2})`);
    transform(
      this._head,
      `translate(${sway} ${breath * 1.8 + nod + bob}) ` +
        `rotate(${sway * 0.7 - attention * 3.5} 160 230)`,
    );
  }
}

function approach(values, name, target, share) {
  values[name] += (target - values[name]) * share;
}

function transform(element, value) {
  element.setAttribute("transform", value);
}
