import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Built into the package, so that a checkout or a wheel has the page without Node.
export default defineConfig({
  base: "/ui/",
  plugins: [react()],
  build: {
    outDir: "../laneway/api/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080", "/admin": "http://127.0.0.1:8080", "/ui/session": "http://127.0.0.1:8080", "/readyz": "http://127.0.0.1:8080" } },
});
