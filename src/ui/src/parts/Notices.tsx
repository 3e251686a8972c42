import { Notifications } from "@mantine/notifications";
import "../styles/rest";
import "@mantine/notifications/styles.layer.css";

/** Where it is told what was done, and what could not be. */
export default function Notices() {
  return <Notifications position="bottom-right" />;
}
