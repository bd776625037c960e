"""A look into the saved work tree of a run: the gateway asks through the engine, it never acts itself."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import options, ports
    from workflows.messages import Look, Looked
    from workflows.signatures import LOOK_WORKFLOW, WORKER_QUEUE


@workflow.defn(name=LOOK_WORKFLOW)
class LookWorkflow:
    """One question, one answer."""

    @workflow.run
    async def run(self, order: Look) -> Looked:
        return await workflow.execute_activity_method(
            ports.Looks.look, order, task_queue=WORKER_QUEUE, **options.LOOK
        )
