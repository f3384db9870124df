"""HTTP of experiments."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import Field, model_validator

from api.platform.feature_flag.contract import (
    ExperimentId,
    ExperimentNotFound,
    ExperimentState,
    ExperimentStateConflict,
    FlagId,
    FlagStateConflict,
    FlagUnknown,
    LayerTaken,
    MetricUnknown,
    Unit,
    UnknownVariant,
)
from api.platform.feature_flag.experiment import logic, statistics
from api.platform.feature_flag.experiment.store import Experiment
from api.platform.feature_flag.flag.wire import Percent, Serve, Variant
from cluster.base.ids import OrgId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("feature_flag")

_ARMS = [{"variant": "off", "weight": 1}, {"variant": "on", "weight": 1}]
Metrics = Annotated[list[str], Field(max_length=10, examples=[["enrollment.completion_rate"]])]


class NewExperiment(Body):
    """An experiment to draft; without an organization it is the platform's."""

    organization_id: OrgId | None = None
    flag_id: FlagId
    title: Annotated[str, Field(min_length=1, max_length=200, examples=["Does the new outline help?"])]
    unit: Annotated[Unit, Field(description="Who gets one variant together; `run`: a class")] = "person"
    layer: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]{0,49}$", description="Experiments of one layer never meet")
    ] = "main"
    from_percent: Annotated[Percent, Field(examples=[0.0], description="The part of the layer")] = 0.0
    to_percent: Annotated[Percent, Field(examples=[100.0])] = 100.0
    arms: Annotated[
        list[Serve], Field(min_length=2, max_length=10, description="The first is the control", examples=[_ARMS])
    ]
    metrics: Annotated[Metrics, Field(min_length=1)]
    guardrails: Annotated[
        Metrics, Field(description="When one is hurt the experiment stops by itself", examples=[[]])
    ] = []

    @model_validator(mode="after")
    def _is_a_part(self) -> "NewExperiment":
        if round(self.to_percent * 1000) <= round(self.from_percent * 1000):
            raise ValueError("to_percent is above from_percent")
        if len({arm.variant for arm in self.arms}) < len(self.arms):
            raise ValueError("name each variant once")
        return self


class Winner(Body):
    variant: Variant


class SizeQuestion(Body):
    """What an experiment with classes as units should be able to find."""

    effect: Annotated[
        float, Field(ge=1e-9, le=1e12, examples=[0.3], description="The smallest difference that matters")
    ]
    deviation: Annotated[
        float, Field(ge=1e-9, le=1e12, examples=[1.0], description="Standard deviation of people's values")
    ]
    people: Annotated[int, Field(ge=1, le=10_000, examples=[25], description="In a class")]
    icc: Annotated[float, Field(ge=0, le=1, examples=[0.2], description="How alike people of one class are")] = 0.2


class SizeView(View):
    classes: int = Field(description="In all arms of two together, for a power of 80 %")


class ArmView(View):
    variant: str
    weight: int


class ExperimentView(View):
    """An experiment."""

    id: ExperimentId
    organization_id: OrgId | None
    flag_id: FlagId
    title: str
    unit: Unit
    layer: str
    from_percent: float
    to_percent: float
    arms: list[ArmView]
    metrics: list[str]
    guardrails: list[str]
    state: ExperimentState
    decision: str | None
    started_at: datetime | None
    stopped_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, resource: object) -> "ExperimentView":
        """Make the view of an experiment."""
        assert isinstance(resource, Experiment)
        fields = {
            name: getattr(resource, name)
            for name in cls.model_fields
            if name not in ("organization_id", "from_percent", "to_percent")
        }
        return cls(
            organization_id=resource.org_id,
            from_percent=resource.first_share / 1000,
            to_percent=resource.last_share / 1000,
            **fields,
        )


class ComparedView(View):
    """One metric of one variant beside the control."""

    metric: str
    variant: str
    guardrail: bool
    difference: float
    low: float | None = Field(description="Of the interval at 95 %; null: nothing can be said yet")
    high: float | None
    p: float
    p_adjusted: float = Field(description="By Holm, for all metrics and variants together")
    method: str = Field(
        description="`always valid`: holds however often one looks; `CR2`: holds at one look, when it is stopped"
    )
    degrees: float | None


class ResultsView(View):
    """What an experiment shows so far."""

    exposed: dict[str, int]
    sample_ratio_p: float
    trustworthy: bool = Field(description="False: the units are not split as planned, so that nothing else here counts")
    compared: list[ComparedView]


EXPERIMENT = Answer(get=logic.get_experiment, view=ExperimentView, etag="version", path="/v1/experiments/{id}")


@router.post("/v1/experiments", status_code=201, raises=(FlagUnknown, UnknownVariant, MetricUnknown))
async def create_experiment(caller: Caller, new: NewExperiment, response: Response) -> ExperimentView:
    """Draft an experiment on a flag of an organization, or of the platform."""
    fields = new.model_dump(exclude={"organization_id", "from_percent", "to_percent"})
    shares = {"first_share": round(new.from_percent * 1000), "last_share": round(new.to_percent * 1000)}
    work = logic.create_experiment(caller, new.organization_id, fields | shares)
    return await EXPERIMENT.created(response, caller, work)


@router.get("/v1/experiments")
async def list_experiments(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    state: Several[ExperimentState] = None,
    id: Several[ExperimentId] = None,
) -> Page[ExperimentView]:
    """List the experiments that the caller may see, newest first."""
    after = paging.after(org=organization_id, state=state, id=id)
    found = await logic.list_experiments(
        caller,
        org_id=organization_id,
        ids=id,
        states=state,
        before=ExperimentId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=ExperimentView.of)


@router.post("/v1/experiments/-/size")
async def size_experiment(caller: Caller, question: SizeQuestion) -> SizeView:
    """Say how many classes an experiment needs: far more than people suggest, because those of one class are alike."""
    caller.person()
    needed = statistics.classes_needed(
        effect=question.effect, deviation=question.deviation, people=question.people, icc=question.icc
    )
    return SizeView(classes=needed)


@router.get("/v1/experiments/{experiment_id}", raises=(ExperimentNotFound,))
async def get_experiment(caller: Caller, experiment_id: ExperimentId, response: Response) -> ExperimentView:
    """Return an experiment."""
    return EXPERIMENT.show(response, await logic.get_experiment(caller, experiment_id))


@router.post(
    "/v1/experiments/{experiment_id}/start",
    raises=(ExperimentNotFound, ExperimentStateConflict, FlagStateConflict, LayerTaken),
)
async def start_experiment(caller: Caller, experiment_id: ExperimentId, response: Response) -> ExperimentView:
    """Begin to expose units: the flag gives them a variant of the experiment before its own rules decide."""
    return await EXPERIMENT.once(response, caller, logic.start_experiment(caller, experiment_id))


@router.post("/v1/experiments/{experiment_id}/stop", raises=(ExperimentNotFound, ExperimentStateConflict))
async def stop_experiment(caller: Caller, experiment_id: ExperimentId, response: Response) -> ExperimentView:
    """Expose nobody any more. The flag's own rules hold again."""
    return await EXPERIMENT.once(response, caller, logic.stop_experiment(caller, experiment_id))


@router.post(
    "/v1/experiments/{experiment_id}/decide", raises=(ExperimentNotFound, ExperimentStateConflict, UnknownVariant)
)
async def decide_experiment(
    caller: Caller, experiment_id: ExperimentId, winner: Winner, response: Response
) -> ExperimentView:
    """Note which variant won. The flag is changed by a change of the flag."""
    return await EXPERIMENT.once(response, caller, logic.decide_experiment(caller, experiment_id, winner.variant))


@router.get("/v1/experiments/{experiment_id}/results", raises=(ExperimentNotFound,))
async def get_results(caller: Caller, experiment_id: ExperimentId) -> ResultsView:
    """Compare what was measured so far."""
    return ResultsView.of(await logic.get_results(caller, experiment_id))
