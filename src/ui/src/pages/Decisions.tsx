import { Stack, Tabs } from "@mantine/core";
import "../styles/rest";
import { PageHead } from "../parts/Panel";
import { Receipts } from "../parts/Receipts";
import { Requests } from "../parts/Requests";
import { Runs } from "../parts/Runs";
import { Shadow } from "../parts/Shadow";
import { useSession } from "../session";

export default function Decisions() {
  const { who } = useSession();
  return (
    <Stack>
      <PageHead title="Decisions and runs" />
      <Tabs defaultValue="decisions" keepMounted={false}>
        <Tabs.List mb="md">
          <Tabs.Tab value="decisions">Decisions</Tabs.Tab>
          {who.admin && <Tabs.Tab value="requests">Requests</Tabs.Tab>}
          <Tabs.Tab value="runs">Runs</Tabs.Tab>
          {who.admin && <Tabs.Tab value="shadow">Shadow</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="decisions"><Receipts /></Tabs.Panel>
        {who.admin && <Tabs.Panel value="requests"><Requests /></Tabs.Panel>}
        <Tabs.Panel value="runs"><Runs /></Tabs.Panel>
        {who.admin && <Tabs.Panel value="shadow"><Shadow /></Tabs.Panel>}
      </Tabs>
    </Stack>
  );
}
