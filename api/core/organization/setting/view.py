"""How settings are answered, and how they are sent: by the names that services offer."""

from typing import TYPE_CHECKING, Any, ClassVar, Optional

from pydantic import ConfigDict, Field, create_model

from api.core.organization.setting import logic
from api.core.organization.setting.rules import Level
from cluster.http import Answer, OrganizationId, Patch, View
from cluster.people.org_settings import offered


class SettingView(View):
    """A setting, with the value that counts here."""

    name: str
    title: str
    value: Any
    default: Any
    inherited_from: Level = Field(description="Where the value comes from; `organization`: it was chosen here")
    locked: bool = Field(description="The platform decides it: an organization cannot change it")
    permission: str = Field(description="What is needed to change it for an organization")
    value_schema: dict[str, Any] = Field(description="JSON Schema of the value")


class PlatformSettingsView(View):
    """All settings, as every organization inherits them."""

    settings: list[SettingView]


class SettingsView(PlatformSettingsView):
    """All settings, as they count in an organization."""

    organization_id: OrganizationId


class _ByName(Patch):
    """A merge patch whose fields are the names of settings."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True)

    def by_name(self) -> dict[str, Any]:
        """Return what was sent, by the name of the setting; None: to be taken out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _by_name(model: str, types: dict[str, Any], doc: str) -> type[_ByName]:
    fields: dict[str, Any] = {
        name.replace(".", "__"): (Optional[type], Field(None, alias=name, title=offered()[name].title))  # noqa: UP045
        for name, type in types.items()
    }
    return create_model(model, __base__=_ByName, __doc__=doc, **fields)


if TYPE_CHECKING:
    SettingChanges = _ByName
    SettingLocks = _ByName
else:
    SettingChanges = _by_name(
        "SettingChanges",
        {name: offer.type for name, offer in offered().items()},
        "Values by the name of the setting. Null: back to the inherited value.",
    )
    SettingLocks = _by_name(
        "SettingLocks",
        {name: bool for name, offer in offered().items() if offer.lockable},
        "True by the name of each setting that organizations cannot change. False or null: they can.",
    )


class PlatformSettingsPatch(Patch):
    """Values that every organization inherits, and what is locked."""

    values: SettingChanges = Field(default_factory=SettingChanges)
    locked: SettingLocks = Field(default_factory=SettingLocks)


SETTINGS = Answer(get=logic.get_settings, view=SettingsView, etag="version")
PLATFORM_SETTINGS = Answer(get=logic.get_platform_settings, view=PlatformSettingsView, etag="version")
