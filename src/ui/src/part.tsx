// Parts of the page that are fetched when they are needed.

import { Alert, Anchor } from "@mantine/core";
import { type ComponentType, lazy, type ReactNode } from "react";

/** As `lazy`; of another build, or of a gateway that is gone, it says so in its place instead of taking the page down. */
export function part<P extends object>(fetch: () => Promise<{ default: ComponentType<P> }>, missing: () => ReactNode = Missing) {
  return lazy<ComponentType<P>>(() => fetch().catch(() => ({ default: missing })));
}

/** In place of what is missed by nobody. */
export const Nowhere = () => null;

function Missing() {
  return (
    <Alert color="orange" title="This part could not be fetched">
      The gateway is gone, or has another version now. <Anchor component="button" type="button" inherit c="inherit" onClick={() => window.location.reload()}>Load the page again</Anchor>
    </Alert>
  );
}
