// Parts of the page that are fetched when they are needed.

import { Text } from "@mantine/core";
import { type ComponentType, lazy } from "react";

/** As `lazy`; of another build, or of a gateway that is gone, it says so in its place instead of taking the page down. */
export function part<P extends object>(fetch: () => Promise<{ default: ComponentType<P> }>) {
  return lazy<ComponentType<P>>(() => fetch().catch(() => ({ default: Missing })));
}

function Missing() {
  return <Text size="sm" c="dimmed" py="sm">This part could not be fetched. Reload the page: the gateway may have another version now.</Text>;
}
