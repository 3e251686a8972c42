import { Button, Group, Text, TextInput } from "@mantine/core";
import "../styles/rest";
import { useState } from "react";
import { useAsked } from "../asked";
import { useSession } from "../session";

/** Whose data an operator looks at. */
export default function Choose() {
  const { tenant, choose } = useSession();
  const [written, setWritten] = useState(tenant);
  const known = useAsked<{ data: { tenant: string }[] }>("/admin/v1/usage?group_by=tenant");
  const done = (name: string) => choose(name.trim() || "default");
  return (
    <form onSubmit={(event) => { event.preventDefault(); done(written); }}>
      <Group gap={4} wrap="nowrap">
        <Text size="sm" c="dimmed" visibleFrom="sm" aria-hidden>Tenant</Text>
        <TextInput
          aria-label="Tenant to look at" list="tenants" value={written} size="xs" w={{ base: 104, sm: 150 }} autoComplete="off"
          onChange={(event) => setWritten(event.currentTarget.value)}
          onFocus={(event) => event.currentTarget.select()}
        />
        <datalist id="tenants">{(known.data?.data ?? []).filter((each) => each.tenant).map((each) => <option key={each.tenant} value={each.tenant} />)}</datalist>
        {written.trim() !== tenant && <Button type="submit" size="xs" variant="light">Show</Button>}
      </Group>
    </form>
  );
}
