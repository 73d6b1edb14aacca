//
// This file is part of TEN Framework, an open source project.
// Licensed under the Apache License, Version 2.0.
// See the LICENSE file for more information.
//
// How the page is built and tested.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // The CSP of the page forbids data: URLs where they could hold code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // daily-js and livekit-client are large files, each loaded for its rooms.
    chunkSizeWarningLimit: 600,
  },
  server: {
    proxy: { "/api": "http://127.0.0.1:8080" },
  },
  test: { include: ["test/**/*.test.{ts,tsx}"], environment: "jsdom" },
});
