//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// What perception sends of what it saw: a picture as large as a camera's.

const WIDTH = 640;
const HEIGHT = 360;

/**
 * A frame as Tavus describes it: a JPEG in base64. It is noise, for the
 * picture of a person stays in the page.
 *
 * @returns {{data: string, mime_type: string}}
 */
export function snapshot() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d");
  const image = context.createImageData(WIDTH, HEIGHT);
  for (let at = 0; at < image.data.length; at += 1)
    image.data[at] = at % 4 === 3 ? 255 : Math.random() * 256;
  context.putImageData(image, 0, 0);
  const [, data] = canvas.toDataURL("image/jpeg", 0.5).split(",");
  return { data, mime_type: "image/jpeg" };
}
