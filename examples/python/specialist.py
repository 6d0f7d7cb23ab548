"""A specialist: an ordinary A2A agent. It does one thing and knows nothing of the broker that calls it."""

from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import AgentSkill

from serving import port_argument, serve

SKILL = AgentSkill(
    id="summarize",
    name="Summarize",
    description="Shortens a text to its first words",
    tags=["text"],
    examples=["Summarize: a long story"],
)


class Specialist(AgentExecutor):
    """Answers a text with its first five words."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        await event_queue.enqueue_event(context.current_task or new_task_from_user_message(context.message))
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updates.start_work()
        words = context.get_user_input().split()[:5]
        await updates.add_artifact([new_text_part(" ".join(words))], name="summary")
        await updates.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


if __name__ == "__main__":
    serve(Specialist(), "specialist", [SKILL], port_argument())
