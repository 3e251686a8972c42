import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { stylesChecked } from "./styled.ts";

// Built into the package, so that a checkout or a wheel has the page without Node.
export default defineConfig({
  base: "/ui/",
  plugins: [react(), stylesChecked({ first: "src/styles/first.ts", later: ["parts/Pulse.tsx", "parts/Flow.tsx"] })],
  resolve: { alias: { "victory-vendor/d3-scale": "/src/parts/scales.ts" } },
  build: {
    outDir: "../laneway/api/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
    // What the first page needs in one piece: it is packed better than many, and asked for at once.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "frame", tags: ["$initial"] }] } } },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080", "/admin": "http://127.0.0.1:8080", "/ui/session": "http://127.0.0.1:8080", "/readyz": "http://127.0.0.1:8080" } },
});
