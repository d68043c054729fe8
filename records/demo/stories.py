"""Why patients come, and what is found: codes of ICD-10-CM, LOINC, RxNorm and SNOMED CT, in small tables."""

from dataclasses import dataclass
from typing import Final

from policies.vocabulary import Sensitivity
from records.demo.people import rows

# story | ICD-10-CM | diagnosis | sensitivity | reason of the visit | note
_STORIES: Final = """
hypertension | I10     | Essential (primary) hypertension | N | Blood pressure check | Home readings mostly below 140/90. Salt reduced. Keep the dose, next check in three months.
diabetes     | E11.9   | Type 2 diabetes mellitus without complications | N | Diabetes review | Feet without wounds, sensation intact. Diet discussed. Eye examination due this year.
lipids       | E78.5   | Hyperlipidemia, unspecified | N | Cholesterol review | Tolerates the statin, no muscle pain. Walks half an hour most days.
fibrillation | I48.91  | Unspecified atrial fibrillation | N | Palpitations | Irregular pulse, no chest pain. ECG done in the office. Anticoagulation discussed.
asthma       | J45.20  | Mild intermittent asthma, uncomplicated | N | Wheezing at night | Scattered wheeze. Inhaler technique shown and repeated. Action plan handed out.
cold         | J06.9   | Acute upper respiratory infection, unspecified | N | Sore throat and cough | Throat red, lungs clear. Rest and fluids. Come back if fever lasts more than three days.
migraine     | G43.909 | Migraine, unspecified, not intractable, without status migrainosus | N | Headache with aura | Four attacks in the last month. Sleep and screens discussed, headache diary started.
backpain     | M54.50  | Low back pain, unspecified | N | Back pain after lifting | No red flags, reflexes equal. Keep moving, physiotherapy referral offered.
reflux       | K21.9   | Gastro-esophageal reflux disease without esophagitis | N | Heartburn after meals | Worse when lying down. No weight loss. Trial of treatment for eight weeks.
thyroid      | E03.9   | Hypothyroidism, unspecified | N | Tiredness and cold hands | Thyroid not enlarged. Dose adapted to the last TSH, control in six weeks.
uti          | N39.0   | Urinary tract infection, site not specified | N | Burning on urination | No flank pain, no fever. Urine sent to the laboratory.
dermatitis   | L20.9   | Atopic dermatitis, unspecified | N | Itching in the elbow folds | Dry, red patches on both elbows. Skin care plan explained.
checkup      | Z00.00  | Encounter for general adult medical examination without abnormal findings | N | Yearly examination | Feels well. Vaccinations up to date. No findings.
anxiety      | F41.1   | Generalized anxiety disorder | R | Trouble sleeping, worries | Worries most of the day for six months. Breathing exercise practised, therapy referral.
depression   | F32.1   | Major depressive disorder, single episode, moderate | R | Low mood | Low mood for two months, no thoughts of self-harm. Follow-up in two weeks.
alcohol      | F10.20  | Alcohol dependence, uncomplicated | V | Wants to stop drinking | Motivated. Withdrawal risk low today. Group and medication discussed.
hiv          | B20     | Human immunodeficiency virus [HIV] disease | V | Infectious disease follow-up | Takes the tablets every day. No new complaints, partner informed.
"""

# story | LOINC | display | unit | lowest | highest | decimals
_MEASURES: Final = """
hypertension | 8480-6  | Systolic blood pressure | mm[Hg] | 128 | 158 | 0
hypertension | 8462-4  | Diastolic blood pressure | mm[Hg] | 78 | 96 | 0
diabetes     | 4548-4  | Hemoglobin A1c/Hemoglobin.total in Blood | % | 6.4 | 8.6 | 1
diabetes     | 2339-0  | Glucose [Mass/volume] in Blood | mg/dL | 108 | 190 | 0
lipids       | 13457-7 | Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation | mg/dL | 82 | 165 | 0
fibrillation | 8867-4  | Heart rate | /min | 74 | 128 | 0
asthma       | 59408-5 | Oxygen saturation in Arterial blood by Pulse oximetry | % | 94 | 99 | 0
cold         | 8310-5  | Body temperature | Cel | 36.8 | 38.7 | 1
backpain     | 72514-3 | Pain severity - 0-10 verbal numeric rating [Score] - Reported | {score} | 3 | 8 | 0
thyroid      | 3016-3  | Thyrotropin [Units/volume] in Serum or Plasma | m[IU]/L | 2.1 | 9.4 | 1
checkup      | 29463-7 | Body weight | kg | 52.0 | 96.0 | 1
anxiety      | 70274-6 | Generalized anxiety disorder 7 item (GAD-7) total score [Reported.PHQ] | {score} | 9 | 17 | 0
depression   | 44261-6 | Patient Health Questionnaire 9 item (PHQ-9) total score [Reported] | {score} | 10 | 18 | 0
hiv          | 24467-3 | CD3+CD4+ (T4 helper) cells [#/volume] in Blood | /uL | 420 | 910 | 0
"""

# story | RxNorm | drug | how
_DRUGS: Final = """
hypertension | 314076 | lisinopril 10 MG Oral Tablet | 1 tablet each morning
diabetes     | 861007 | metformin hydrochloride 500 MG Oral Tablet | 1 tablet twice a day with meals
lipids       | 617310 | atorvastatin 20 MG Oral Tablet | 1 tablet each evening
asthma       | 245314 | albuterol 5 MG/ML Inhalation Solution | when short of breath
backpain     | 310965 | ibuprofen 200 MG Oral Tablet | 2 tablets up to three times a day, at most one week
reflux       | 198051 | omeprazole 20 MG Delayed Release Oral Capsule | 1 capsule before breakfast
thyroid      | 966222 | levothyroxine sodium 0.075 MG Oral Tablet | 1 tablet half an hour before breakfast
depression   | 312941 | sertraline 50 MG Oral Tablet | 1 tablet each morning
"""

# SNOMED CT | allergy | criticality
_ALLERGIES: Final = """
91936005  | Allergy to penicillin | high
300916003 | Latex allergy | low
91935009  | Allergy to peanuts | high
424213003 | Allergy to bee venom | high
"""


@dataclass(frozen=True, slots=True)
class Story:
    """Why somebody comes, and what the doctor makes of it."""

    icd10: str
    diagnosis: str
    sensitivity: Sensitivity
    reason: str
    note: str


STORIES: Final = {
    name: Story(code, words, Sensitivity(level), reason, note)
    for name, code, words, level, reason, note in rows(_STORIES)
}
MEASURES: Final = rows(_MEASURES)
DRUGS: Final = rows(_DRUGS)
ALLERGIES: Final = rows(_ALLERGIES)
