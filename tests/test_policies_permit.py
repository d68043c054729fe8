"""Nobody but the gate has a permit, and what it says stays so."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from policies.issue import issue
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType


def a_permit(**changed: object) -> Permit:
    fields = {
        "subject_id": uuid4(),
        "action": Action.READ,
        "resource_type": ResourceType.RECORD,
        "patient_id": uuid4(),
        "row_ids": frozenset({uuid4()}),
        "event_id": uuid4(),
        "policy_version": 3,
        "rule_id": "record-read-doctor",
    }
    return issue(**{**fields, **changed})


def test_the_class_makes_no_permit():
    with pytest.raises(TypeError, match="the gate makes permits"):
        Permit()
    with pytest.raises(TypeError, match="the gate makes permits"):
        Permit(subject_id=uuid4(), row_ids=frozenset({uuid4()}))


def test_a_subclass_makes_no_permit():
    with pytest.raises(TypeError, match="the gate makes permits"):
        type("Forged", (Permit,), {"__new__": object.__new__})


@pytest.mark.parametrize(
    "forge",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda permit: dataclasses.replace(permit, row_ids=frozenset({uuid4()})),
        lambda permit: pickle.dumps(permit, protocol=0),
        lambda permit: type(permit)(),
    ],
)
def test_a_permit_begets_no_permit(forge: Callable[[Permit], object]):
    with pytest.raises(TypeError):
        forge(a_permit())


def test_a_permit_does_not_change():
    permit = a_permit()
    with pytest.raises(TypeError):
        permit.row_ids = frozenset({uuid4()})
    with pytest.raises(TypeError):
        del permit.row_ids
    with pytest.raises((AttributeError, TypeError)):
        permit.__dict__  # noqa: B018 there is no dictionary to write into


def test_a_permit_keeps_no_set_its_maker_can_still_change():
    rows = {uuid4()}
    permit = a_permit(row_ids=rows)
    rows.add(stowaway := uuid4())
    assert not permit.covers(stowaway, permit.patient_id)


def test_a_permit_covers_its_rows_of_its_patient_only():
    row, patient = uuid4(), uuid4()
    permit = a_permit(row_ids=frozenset({row}), patient_id=patient)
    assert not permit.covers(uuid4(), patient)
    assert not permit.covers(row, uuid4())
    assert permit.covers(UUID(str(row)), UUID(str(patient)))


def test_a_permit_for_no_patient_covers_no_patients_row():
    permit = a_permit(patient_id=None)
    (row,) = permit.row_ids
    assert not permit.covers(row, uuid4())
    assert not permit.covers(row, None)
