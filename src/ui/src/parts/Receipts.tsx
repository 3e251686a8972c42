import { Badge, Drawer, Select } from "@mantine/core";
import { useState } from "react";
import { useAsked } from "../asked";
import { usePaged } from "../paged";
import { type Receipt, short, type Status } from "../router";
import { chosen } from "../words";
import { Cell, Extent, LongTable, When } from "./LongTable";
import { Answered, Nothing, Panel } from "./Panel";
import { Why } from "./Why";

const idOf = (receipt: Receipt) => receipt.id;

export function Receipts() {
  const status = useAsked<Status>("/v1/router/status");
  const [pool, setPool] = useState<string | null>(null);
  const [shown, setShown] = useState<Receipt>();
  const { asked, more, onEnd, onTop } = usePaged<Receipt>(`/v1/router/decisions?limit=500${pool ? `&pool=${encodeURIComponent(pool)}` : ""}`, idOf, { everyMs: 10_000 });
  return (
    <Panel title="Decisions" hint="Why each request went where it went" right={<Select size="xs" aria-label="Pool" placeholder="any pool" data={(status.data?.pools ?? []).map((each) => each.pool)} value={pool} onChange={setPool} clearable w={140} />}>
      <Answered asked={asked}>
        {(rows) => rows.length === 0 ? <Nothing>No request was decided by a pool yet.</Nothing> : (
          <>
            <LongTable
              label="Decisions"
              rows={rows}
              keyOf={idOf}
              onChoose={setShown}
              more={more}
              onEnd={onEnd}
              onTop={onTop}
              columns={[
                { name: "Time", width: 1.5, least: 64, cell: (receipt) => <When at={receipt.at_s} /> },
                { name: "Prompt", width: 5.2, cell: (receipt) => <Cell dim={receipt.text === null}>{receipt.text ?? "not kept"}</Cell> },
                { name: "Went to", width: 2.2, least: 82, cell: (receipt) => <Cell>{short(receipt.served)}</Cell> },
                { name: "How", width: 2.3, wide: true, cell: (receipt) => <Badge size="sm" variant="light" color={receipt.declined ? "gray" : "teal"} tt="none">{chosen(receipt.rule, receipt.declined)}</Badge> },
                { name: "Sure", width: 1.2, right: true, wide: true, cell: (receipt) => <Cell>{receipt.confidence === null ? "" : `${Math.round(100 * receipt.confidence)}%`}</Cell> },
                { name: "Dial", width: 1, right: true, wide: true, cell: (receipt) => <Cell>{receipt.bias.toFixed(2)}</Cell> },
              ]}
            />
            <Extent rows={rows.length} more={more} />
          </>
        )}
      </Answered>
      <Drawer opened={shown !== undefined} onClose={() => setShown(undefined)} title="Why it went there" position="right" size="lg">{shown && <Why receipt={shown} />}</Drawer>
    </Panel>
  );
}
