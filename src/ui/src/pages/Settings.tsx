import { Stack } from "@mantine/core";
import "../styles/rest";
import { Nothing, PageHead } from "../parts/Panel";
import { Caps } from "../parts/Caps";
import { Keys } from "../parts/Keys";
import { Maintenance } from "../parts/Maintenance";
import { Trail } from "../parts/Trail";
import { QualityCost } from "../parts/QualityCost";
import { useSession } from "../session";

export default function Settings() {
  const { who } = useSession();
  return (
    <Stack>
      <PageHead title="Settings" />
      <QualityCost />
      {who.admin ? (
        <>
          <Caps />
          <Keys />
          <Maintenance />
          <Trail />
        </>
      ) : <Nothing>Budgets, keys and maintenance are the operators'.</Nothing>}
    </Stack>
  );
}
