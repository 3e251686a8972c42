import { Stack } from "@mantine/core";
import "../styles/rest";
import { useState } from "react";
import { Batch } from "../parts/Batch";
import { Compare } from "../parts/Compare";
import { Memory } from "../parts/Memory";
import { PageHead } from "../parts/Panel";
import { WarmUp } from "../parts/WarmUp";

export default function Teach() {
  const [taught, setTaught] = useState(0);
  const learned = () => setTaught((before) => before + 1);
  return (
    <Stack>
      <PageHead title="Teach" />
      <WarmUp turn={taught} />
      <Compare onTaught={learned} />
      <Batch onTaught={learned} />
      <Memory turn={taught} onChange={learned} />
    </Stack>
  );
}
