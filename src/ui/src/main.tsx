import "./styles/first";
import "./page.css";

import { MantineProvider } from "@mantine/core";
import { createRoot } from "react-dom/client";
import { Router } from "wouter";
import { App } from "./App";
import { SessionRoom } from "./session";
import { resolver, theme } from "./theme";

// Styles that the library writes while it runs need the nonce that this page was served with.
const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
// The dialogs' scroll lock reads it from here.
(globalThis as { __webpack_nonce__?: string }).__webpack_nonce__ = nonce;

createRoot(document.getElementById("root") as HTMLElement).render(
  <MantineProvider theme={theme} defaultColorScheme="auto" cssVariablesResolver={resolver} getStyleNonce={() => nonce} deduplicateCssVariables={false}>
    <Router base="/ui">
      <SessionRoom>
        <App />
      </SessionRoom>
    </Router>
  </MantineProvider>,
);
