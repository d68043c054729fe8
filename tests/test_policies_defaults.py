"""What a new clinic's rules mean, case by case: who, doing what, to which resource, in which situation."""

from uuid import UUID

import pytest

from policies.clearance import cleared
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.rules import defaults
from policies.vocabulary import Action, Outcome, Purpose, ResourceType, Role

ACCOUNT, DOCTOR, PATIENT, STRANGER = (UUID(int=number) for number in range(1, 5))
SNAPSHOT = PolicySnapshot.build(1, defaults())
TREATING = Environment(Purpose.TREATMENT)

FOREIGN = {
    "id": UUID(int=9),
    "patient_id": STRANGER,
    "author_id": STRANGER,
    "doctor_id": STRANGER,
    "status": "final",
    "kind": "diagnosis",
    "sensitivity": "N",
    "categories": frozenset(),
    "in_care_team": False,
    "own_appointment": False,
    "consent_granted": False,
    "consent_denied": False,
    "break_glass": False,
    "proxied": False,
}
SITUATION = {
    "foreign": {},
    "team": {"in_care_team": True},
    "visit": {"own_appointment": True},
    "author": {"author_id": ACCOUNT},
    "doctor": {"doctor_id": DOCTOR},
    "self": {"patient_id": PATIENT},
    "draft": {"status": "draft"},
    "preliminary": {"status": "preliminary"},
    "amended": {"status": "amended"},
    "erroneous": {"status": "entered-in-error"},
    "restricted": {"sensitivity": "R"},
    "secret": {"sensitivity": "V"},
    "psychiatry": {"categories": frozenset({"PSY"})},
    "note": {"kind": "note"},
    "consented": {"consent_granted": True},
    "forbidden": {"consent_denied": True},
    "emergency": {"break_glass": True},
    "proxy": {"proxied": True},
    "own": {"id": ACCOUNT},
    "published": {"status": "published"},
    "told": {"status": "told"},
    "suspended": {"status": "suspended"},
    "observation": {"kind": "observation"},
    "unknown": dict.fromkeys(FOREIGN),
}

# who           does    to            where it is                    is answered by
CASES = """
  doctor        read    record        foreign                        deny  -
  doctor        read    record        unknown                        deny  hard-draft
  doctor        read    record        team draft                     deny  hard-draft
  patient       read    record        self draft                     deny  hard-draft
  doctor        search  record        visit draft                    deny  hard-draft
  doctor        update  record        author                         deny  hard-final
  doctor        read    record        emergency draft                deny  hard-draft
  doctor        read    record        emergency secret psychiatry note deny hard-psychotherapy
  doctor        read    record        team forbidden                 deny  soft-consent
  doctor        read    record        consented psychiatry           deny  soft-clearance
  receptionist  read    record        emergency                      deny  -
  patient       read    record        emergency                      deny  -
  doctor        update  record        emergency draft                deny  -
  patient       read    record        proxy draft                    deny  hard-draft
  patient       read    record        proxy restricted               deny  -
  patient       read    record        proxy psychiatry               deny  -
  doctor        read    care_team     foreign                        deny  -
  doctor        create  care_team     foreign                        deny  -
  nurse         create  care_team     team                           deny  -
  patient       create  care_team     self                           deny  -
  doctor        create  consent       team                           deny  -
  patient       create  consent       foreign                        deny  -
  patient       create  proxy         self                           deny  -
  receptionist  create  break_glass   foreign                        deny  -
  doctor        read    break_glass   foreign                        deny  -
  doctor        review  break_glass   author                         deny  -
  compliance    review  break_glass   author                         deny  -
  doctor        update  record        author amended                 deny  hard-final
  doctor        sign    record        author erroneous               deny  hard-final
  nurse         update  record        author                         deny  hard-final
  doctor        read    record        team secret                    deny  soft-very-restricted
  nurse         read    record        team secret                    deny  soft-clearance
  nurse         read    record        team restricted                deny  soft-clearance
  doctor        read    record        team psychiatry                deny  soft-clearance
  doctor        read    record        visit secret psychiatry        deny  soft-clearance
  doctor        read    record        visit secret psychiatry note   deny  hard-psychotherapy
  doctor        update  record        team draft                     deny  -
  doctor        amend   record        team                           deny  -
  patient       amend   record        self author                    deny  -
  doctor        addend  record        foreign                        deny  -
  patient       addend  record        self team                      deny  -
  doctor        cosign  record        author team                    deny  -
  doctor        cosign  record        foreign                        deny  -
  nurse         cosign  record        team                           deny  -
  nurse         sign    record        team preliminary               deny  -
  nurse         read    record        visit                          deny  -
  nurse         read    record        author                         deny  -
  nurse         create  record        team                           deny  -
  nurse         create  record        observation                    deny  -
  doctor        create  record        foreign                        deny  -
  patient       read    record        foreign                        deny  -
  patient       read    record        self secret                    deny  -
  patient       read    record        self preliminary               deny  -
  patient       read    record        self erroneous                 deny  -
  receptionist  read    record        team                           deny  -
  admin         read    record        team                           deny  -
  compliance    read    record        team                           deny  -
  admin         read    patient       team                           deny  -
  compliance    read    patient       team                           deny  -
  doctor        read    patient       foreign                        deny  -
  nurse         read    patient       visit                          deny  -
  patient       read    patient       foreign                        deny  -
  patient       update  patient       self                           deny  -
  doctor        update  patient       team                           deny  -
  nurse         read    coverage      team                           deny  -
  doctor        update  coverage      team                           deny  -
  doctor        update  doctor        doctor                         deny  -
  receptionist  update  service       foreign                        deny  -
  doctor        create  location      foreign                        deny  -
  patient       read    schedule      foreign                        deny  -
  doctor        update  schedule      foreign                        deny  -
  nurse         create  schedule      foreign                        deny  -
  patient       override appointment  self                           deny  -
  doctor        read    appointment   foreign                        deny  -
  doctor        read    appointment   visit                          deny  -
  doctor        book    appointment   foreign                        deny  -
  nurse         book    appointment   team                           deny  -
  patient       cancel  appointment   foreign                        deny  -
  admin         read    appointment   team                           deny  -
  admin         read    audit_event   foreign                        deny  -
  doctor        read    audit_event   author                         deny  -
  patient       read    audit_event   self                           deny  -
  patient       search  audit_event   foreign                        deny  -
  patient       search  audit_event   unknown                        deny  -
  admin         read    alert         foreign                        deny  -
  patient       read    disclosure    foreign told                   deny  -
  patient       read    disclosure    self suspended                 deny  -
  doctor        read    disclosure    team told                      deny  -
  admin         publish policy        author draft                   deny  -
  admin         update  policy        foreign draft                  deny  -
  compliance    publish policy        foreign draft                  deny  -
  doctor        read    policy        author                         deny  -
  doctor        explain policy        foreign                        deny  -
  compliance    read    account       foreign                        deny  -
  compliance    read    client        foreign                        deny  -
  admin         update  account       own                            deny  hard-own-account
  compliance    read    key           foreign                        deny  -
  receptionist  import  patient       foreign                        deny  -
  doctor        erase   patient       team                           deny  -
  receptionist  erase   patient       foreign                        deny  -
  patient       erase   patient       self                           deny  -
  admin         hold    patient       foreign                        deny  -
  doctor        import  record        author visit                   deny  -

  doctor        read    record        team                           allow record-read-doctor
  doctor        read    record        visit                          allow record-read-doctor
  doctor        read    record        visit secret                   allow record-read-doctor
  doctor        read    record        author draft                   allow record-read-doctor
  doctor        read    record        emergency secret forbidden     allow emergency-chart
  nurse         read    patient       emergency                      allow emergency-chart
  doctor        read    record        author forbidden               allow record-read-doctor
  doctor        read    record        consented                      allow record-read-consented
  nurse         read    patient       consented                      allow patient-read-consented
  patient       read    record        proxy                          allow record-read-proxy
  patient       read    patient       proxy                          allow patient-read-proxy
  patient       book    appointment   proxy                          allow appointment-proxy
  doctor        read    care_team     visit                          allow care-team-read
  doctor        create  care_team     visit                          allow care-team-doctor
  receptionist  update  care_team     foreign                        allow care-team-keep
  patient       read    proxy         self                           allow care-team-self
  nurse         read    consent       team                           allow consent-read
  patient       create  consent       self                           allow consent-self
  nurse         create  break_glass   foreign                        allow break-glass-ask
  doctor        update  break_glass   author                         allow break-glass-own
  compliance    review  break_glass   foreign                        allow break-glass-review
  doctor        search  record        author secret                  allow record-read-doctor
  doctor        read    record        author psychiatry              allow record-read-doctor
  doctor        read    record        author secret psychiatry note  allow record-read-doctor
  patient       read    record        self psychiatry                allow record-read-self
  nurse         read    record        team                           allow record-read-nurse
  patient       read    record        self                           allow record-read-self
  patient       read    record        self amended restricted        allow record-read-self
  doctor        create  record        team draft                     allow record-create-doctor
  doctor        create  record        visit draft                    allow record-create-doctor
  nurse         create  record        team observation draft         allow record-create-nurse
  doctor        update  record        author draft                   allow record-finish
  nurse         sign    record        author preliminary             allow record-finish
  doctor        amend   record        author amended                 allow record-amend
  nurse         addend  record        team                           allow record-addend
  doctor        cosign  record        visit                          allow record-cosign
  doctor        read    patient       team                           allow patient-read-doctor
  doctor        read    patient       visit                          allow patient-read-doctor
  nurse         read    patient       team                           allow patient-read-nurse
  receptionist  read    patient       foreign                        allow patient-read-reception
  patient       read    patient       self                           allow patient-read-self
  doctor        create  patient       foreign                        allow patient-create
  receptionist  create  patient       foreign                        allow patient-create
  receptionist  update  patient       foreign                        allow patient-update
  receptionist  merge   patient       foreign                        allow patient-merge
  doctor        merge   patient       team                           deny  -
  doctor        read    coverage      visit                          allow coverage-read-doctor
  patient       read    coverage      self                           allow coverage-read-self
  receptionist  update  coverage      foreign                        allow coverage-keep
  patient       read    doctor        foreign                        allow doctor-read
  admin         update  doctor        foreign                        allow doctor-keep
  patient       search  slot          foreign                        allow offer-read
  admin         create  service       foreign                        allow offer-keep
  nurse         read    schedule      foreign                        allow schedule-read
  receptionist  delete  schedule      foreign                        allow schedule-keep
  doctor        update  schedule      doctor                         allow schedule-own
  receptionist  override appointment  foreign                        allow appointment-override
  receptionist  book    appointment   foreign                        allow appointment-desk
  doctor        read    appointment   doctor                         allow appointment-doctor
  doctor        read    appointment   team                           allow appointment-doctor
  doctor        book    appointment   doctor                         allow appointment-book-doctor
  doctor        cancel  appointment   visit                          allow appointment-book-doctor
  doctor        attend  appointment   doctor                         allow appointment-attend-doctor
  doctor        retract appointment   doctor                         allow appointment-attend-doctor
  doctor        attend  appointment   team                           deny  -
  nurse         attend  appointment   team                           allow appointment-attend-nurse
  patient       attend  appointment   self                           deny  -
  receptionist  retract appointment   foreign                        deny  -
  clockwork     cancel  appointment   foreign                        allow appointment-clockwork
  clockwork     notify  patient       foreign                        allow patient-notify
  clockwork     read    patient       foreign                        deny  -
  clockwork     read    appointment   foreign                        deny  -
  nurse         read    appointment   team                           allow appointment-nurse
  receptionist  update  waitlist      foreign                        allow waitlist-desk
  doctor        create  waitlist      team                           allow waitlist-doctor
  doctor        read    waitlist      foreign                        deny  -
  patient       cancel  waitlist      self                           allow waitlist-self
  patient       update  waitlist      self                           deny  -
  patient       read    waitlist      foreign                        deny  -
  nurse         read    waitlist      team                           deny  -
  patient       book    appointment   self                           allow appointment-self
  patient       create  appointment   self                           allow appointment-self
  patient       create  appointment   foreign                        deny  -
  nurse         create  appointment   team                           deny  -
  admin         create  account       foreign                        allow account-admin
  admin         create  client        foreign                        allow client-admin
  admin         update  account       foreign                        allow account-admin
  nurse         read    account       own                            allow account-self
  admin         read    policy        foreign                        allow policy-read
  compliance    read    policy        foreign                        allow policy-read
  compliance    hold    patient       foreign                        allow patient-hold
  admin         erase   patient       foreign                        allow patient-erase
  compliance    explain policy        foreign                        allow policy-explain
  nurse         explain policy        author                         allow policy-explain-self
  admin         create  policy        author draft                   allow policy-draft
  admin         update  policy        author draft                   allow policy-redraft
  admin         publish policy        foreign draft                  allow policy-publish
  admin         publish policy        author published               allow policy-publish
  compliance    search  audit_event   foreign                        allow audit-read
  compliance    export  audit_event   foreign                        allow audit-read
  compliance    create  disclosure    foreign                        allow disclosure-keep
  patient       read    disclosure    self told                      allow disclosure-self
  compliance    update  alert         foreign                        allow alert-review
  patient       search  audit_event   self                           allow audit-self
  admin         create  key           foreign                        allow key-admin
  admin         erase   patient       foreign                        allow patient-erase
  compliance    erase   patient       foreign                        allow patient-erase
  compliance    hold    patient       foreign                        allow patient-hold
  admin         import  record        foreign                        allow import-admin
  admin         import  patient       foreign                        allow import-admin
"""
TABLE = [line.split() for line in CASES.splitlines() if line]

# Every action a role could ever be allowed, were all relations true.
REACH = """
  admin         account: create import read search update, appointment: import, coverage: import
  admin         client: create read search update
  admin         doctor: create import read search update, patient: erase import, record: import
  admin         service: create read search update, location: create read search update
  compliance    break_glass: read review search
  doctor        care_team: create read search update, consent: read search
  doctor        break_glass: create read search update
  nurse         care_team: read search, consent: read search, coverage: read search
  nurse         break_glass: create read search update
  patient       care_team: read search, proxy: read search, consent: create read search update
  receptionist  care_team: create read search update, consent: create read search update
  receptionist  proxy: create read search update
  admin         slot: read search, schedule: create delete read search update
  admin         key: create delete read search, policy: create explain publish read search update
  compliance    audit_event: export read search, alert: read search update, disclosure: create read search, doctor: read search, policy: explain read search
  compliance    patient: erase hold
  compliance    service: read search, location: read search, slot: read search, schedule: read search
  doctor        appointment: attend book cancel create override read retract search update, coverage: read search
  doctor        waitlist: create read search update
  doctor        service: read search, location: read search, slot: read search
  doctor        schedule: create delete read search update
  doctor        doctor: read search, patient: create read search
  doctor        record: addend amend cosign create read retract search sign update
  clockwork     appointment: attend book cancel, patient: notify
  doctor        policy: explain
  nurse         policy: explain
  patient       policy: explain
  receptionist  policy: explain
  nurse         appointment: attend read search, doctor: read search, patient: read search
  nurse         service: read search, location: read search, slot: read search, schedule: read search
  nurse         record: addend amend create read retract search sign update
  patient       appointment: book cancel create read search update, coverage: read search
  patient       waitlist: cancel create read search
  patient       service: read search, location: read search, slot: read search
  patient       doctor: read search, patient: read search, record: read search
  patient       audit_event: search, disclosure: read search
  receptionist  service: read search, location: read search, slot: read search
  receptionist  schedule: create delete read search update
  receptionist  waitlist: cancel create read search update
  receptionist  appointment: attend book cancel create override read search update, coverage: create read search update
  receptionist  doctor: read search, patient: create merge read search update
"""


def subject(role: str) -> Subject:
    """A person whose account, doctor and patient ids are set whatever the role, so that no id alone opens anything."""
    return Subject(ACCOUNT, frozenset({Role(role)}), DOCTOR, PATIENT, cleared([Role(role)], None))


def resource(resource_type: str, *situation: str) -> Resource:
    facts = dict(FOREIGN)
    for word in situation:
        facts |= SITUATION[word]
    return Resource(ResourceType(resource_type), **facts)


@pytest.mark.parametrize("case", TABLE, ids=" ".join)
def test_the_decision_table_of_a_new_clinic(case: list[str]):
    role, action, resource_type, *situation, outcome, rule_id = case
    decision = SNAPSHOT.decide(
        subject(role), Action(action), resource(resource_type, *situation), TREATING
    )
    assert (decision.outcome, decision.rule_id or "-") == (Outcome(outcome), rule_id)


def test_every_rule_stands_in_some_case():
    assert {rule.id for rule in defaults()} == {case[-1] for case in TABLE} - {"-"}


def test_no_role_reaches_further_than_its_list():
    listed = {
        (role, resource_type, action)
        for role, *rest in (line.split(maxsplit=1) for line in REACH.splitlines() if line)
        for part in rest[0].split(", ")
        for resource_type, actions in [part.split(": ")]
        for action in actions.split()
    }
    close = ("team", "visit", "doctor", "self", "observation")
    reached = {
        (role, resource_type, action)
        for role in Role
        for resource_type in ResourceType
        for action in Action
        for status in ("draft", "amended", "published", "told")
        for whose in ([], ["author"], ["emergency"])
        if SNAPSHOT.decide(
            subject(role), action, resource(resource_type, *close, *whose, status), TREATING
        ).allowed
    }
    assert reached == listed
