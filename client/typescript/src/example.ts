/**
 * Queues a task, shows what the agent writes, and says how it ended.
 *
 *     node dist/src/example.js "Mend the failing test"   # in a git repository
 */

import { Task_State } from "../generated/taskgrove/v1/task.js";
import { ofEnvironment } from "./connection.js";
import { TaskgroveError } from "./errors.js";
import { Taskgrove } from "./taskgrove.js";

const title = process.argv[2] ?? "Say hello";
const taskgrove = new Taskgrove(ofEnvironment());
try {
  const list = await taskgrove.createTaskList({ title: "Example", workingDir: process.cwd() });
  const task = await taskgrove.enqueue({ taskListId: list.id, title });
  for await (const event of taskgrove.watchTask(task.id)) {
    switch (event.kind) {
      case "line":
        process.stdout.write(event.line.data);
        break;
      case "task":
        console.error(`${event.task.id} is ${Task_State[event.task.state]}`);
        break;
      case "rested":
        if (event.task.state === Task_State.STATE_SUCCEEDED) {
          console.error(`The commit is on ${event.task.worktree?.branch}.`);
        } else {
          console.error(event.task.failure?.message ?? "The task was cancelled.");
          process.exitCode = 1;
        }
    }
  }
} catch (error) {
  if (!(error instanceof TaskgroveError)) throw error;
  console.error(`${error.reason ?? error.code}: ${error.message}`);
  for (const { field, description } of error.violations) console.error(`  ${field}: ${description}`);
  process.exitCode = 1;
} finally {
  taskgrove.close();
}
