import { Badge, Stack } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useAsked } from "../asked";
import { useFeed } from "../feed";
import { useLater } from "../later";
import { Begin } from "../parts/Begin";
import { type Host, Hosts } from "../parts/Hosts";
import { type Lane, Lanes } from "../parts/Lanes";
import { Latest } from "../parts/Latest";
import { Answered, PageHead } from "../parts/Panel";
import { Spending } from "../parts/Spending";
import { Today } from "../parts/Today";
import { Ways } from "../parts/Ways";
import { useSession } from "../session";

interface Health { config: string; hosts: Record<string, Host>; lanes: Record<string, Lane>; safe: string[] }

const AGAIN_MS = 4000;
/** While requests come, what they change is looked at this often at most. */
const SOON_MS = 1000;

export default function Overview() {
  const { who } = useSession();
  const { happenings, beats, heard, live, lost } = useFeed();
  const [stands, setStands] = useState(!who.admin);
  const pictures = useLater(stands);
  return (
    <Stack>
      <PageHead title="Overview">
        <Badge color={live ? "teal" : lost ? "orange" : "gray"} variant="light" tt="none" role="status" leftSection={<span className={live ? "lamp beating" : "lamp"} />}>{live ? "live" : lost ? "connection lost, trying again" : "connecting"}</Badge>
      </PageHead>
      <Begin asked={heard > 0} />
      <Today admin={who.admin} beats={beats} heard={heard} pictures={pictures} />
      {who.admin && <Places heard={heard} onStand={setStands} />}
      {who.admin && <Spending />}
      <Ways beats={beats} happenings={happenings} pictures={pictures} />
      <Latest happenings={happenings} />
    </Stack>
  );
}

/** Lanes and hosts, looked at again soon after something happened. */
function Places({ heard, onStand }: { heard: number; onStand: (stands: boolean) => void }) {
  const health = useAsked<Health>("/admin/v1/health", AGAIN_MS);
  const { again } = health;
  const told = health.data !== undefined || health.error !== undefined;
  useEffect(() => { if (told) onStand(true); }, [told, onStand]);
  const looked = useRef(0);
  useEffect(() => {
    if (heard === 0) return;
    const wait = Math.max(0, looked.current + SOON_MS - Date.now());
    const timer = window.setTimeout(() => {
      looked.current = Date.now();
      again();
    }, wait);
    return () => window.clearTimeout(timer);
  }, [heard, again]);
  return (
    <Answered asked={health} lines={6}>
      {({ lanes, hosts }) => (
        <>
          <Lanes lanes={lanes} />
          <Hosts hosts={hosts} lanes={Object.keys(lanes)} />
        </>
      )}
    </Answered>
  );
}
