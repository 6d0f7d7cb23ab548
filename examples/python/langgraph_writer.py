"""A LangGraph graph as an agent that others delegate to, ordinary on both sides: nothing in the graph knows of A2A, and
nothing here of the broker. What a node does is told as it happens, what the model says streams as an artifact word by
word, and an `interrupt` is a question to whoever asked: the task is INPUT_REQUIRED, and its answer goes on with the graph
where it stood. The model is LangChain's fake one, so that nothing leaves the machine; put yours in its place.
"""

from typing import TypedDict

from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import AgentSkill, TaskState
from langchain_core.language_models import GenericFakeChatModel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from serving import port_argument, serve

SKILL = AgentSkill(
    id="write",
    name="Write",
    description="Writes a text about a subject, after asking for whom",
    tags=["text"],
    examples=["Write about the sea"],
)


class Draft(TypedDict, total=False):
    """What the graph knows."""

    subject: str
    readers: str
    text: str


def ask(_: Draft) -> Draft:
    return {"readers": interrupt("For whom is it?")}


async def write(draft: Draft) -> Draft:
    model = GenericFakeChatModel(messages=iter([f"All about {draft['subject']}, for {draft['readers']}."]))
    return {"text": (await model.ainvoke(draft["subject"])).text}


def compile_graph():  # noqa: ANN201 - its name is longer than it is
    graph = StateGraph(Draft).add_node("ask", ask).add_node("write", write)
    # In a process that is to survive its own death: one of the checkpointers that keep their state in a database.
    return graph.add_edge(START, "ask").add_edge("ask", "write").add_edge("write", END).compile(InMemorySaver())


class GraphExecutor(AgentExecutor):
    """Runs a graph for each task, with the task's id as its thread."""

    def __init__(self) -> None:
        self.graph = compile_graph()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        known, said = context.current_task, context.get_user_input()
        if not known:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        updates = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updates.start_work()
        thread = {"configurable": {"thread_id": context.task_id}}
        given = Command(resume=said) if known else Draft(subject=said)
        pieces = 0
        async for kind, event in self.graph.astream(given, thread, stream_mode=["updates", "messages"]):
            if kind == "messages":
                piece, _ = event
                await updates.add_artifact(
                    [new_text_part(piece.text)], artifact_id="text", name="text", append=pieces > 0, last_chunk=False
                )
                pieces += 1
            elif "__interrupt__" in event:
                await updates.requires_input(updates.new_agent_message([new_text_part(event["__interrupt__"][0].value)]))
                return
            else:
                done = updates.new_agent_message([new_text_part(f"done: {', '.join(event)}")])
                await updates.update_status(TaskState.TASK_STATE_WORKING, done)
        await updates.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


if __name__ == "__main__":
    serve(GraphExecutor(), "writer", [SKILL], port_argument())
