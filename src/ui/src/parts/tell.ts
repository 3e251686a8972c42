import { notifications } from "@mantine/notifications";

const closeButtonProps = { "aria-label": "Put away" };
export const said = (message: string): void => void notifications.show({ message, color: "teal", closeButtonProps });
export const failed = (problem: unknown): void => void notifications.show({ title: "Not done", message: (problem as Error).message, color: "red", autoClose: 8000, closeButtonProps });

/** Does it, and tells when it could not be done. Whether it was done. */
export async function tried(work: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await work();
    if (done) said(done);
    return true;
  } catch (problem) {
    failed(problem);
    return false;
  }
}
