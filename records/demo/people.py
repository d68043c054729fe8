"""Who is in the demo clinic. Every name, number and address here is made up."""

from typing import Final

# login | family | given | NPI (right by Luhn, and of the 2… range that nobody was given yet) | NUCC code and name | languages | ISO weekdays | hours
_DOCTORS: Final = """
dr.adams   | Adams   | Eleanor | 2900001019 | 207Q00000X Family Medicine            | en es | 1 2 3 4 5 | 09:00-12:00 13:00-17:00
dr.baker   | Baker   | Tobias  | 2900001027 | 207R00000X Internal Medicine          | en de | 1 2 3 4 5 | 08:30-12:30 13:30-16:30
dr.chen    | Chen    | Mei     | 2900001035 | 207RC0000X Cardiovascular Disease     | en zh | 1 3 5     | 09:00-12:00 13:00-16:00
dr.diallo  | Diallo  | Aminata | 2900001043 | 2084P0800X Psychiatry                 | en fr | 2 3 4     | 10:00-13:00 14:00-18:00
dr.eriksen | Eriksen | Lars    | 2900001050 | 207RE0101X Endocrinology              | en no | 1 2 4     | 08:00-12:00 13:00-15:00
dr.farouk  | Farouk  | Salma   | 2900001068 | 207RI0200X Infectious Disease         | en ar | 2 4 5     | 09:00-13:00 14:00-17:00
"""

# family | given | sex | born | street | city | payor | doctors (* has the nurse too) | stories
_PATIENTS: Final = """
Okonkwo     | Adaeze Grace  | female | 1984-02-17 | 12 Larch Street      | Brookline MA 02445  | Harbor Mutual  | adams *        | hypertension checkup
Lindqvist   | Per Olof      | male   | 1957-11-03 | 88 Mill Pond Road    | Newton MA 02458     | Medicare       | adams chen *   | hypertension fibrillation lipids
Marchetti   | Giulia        | female | 1991-06-25 | 5 Quarry Lane        | Somerville MA 02143 | Bay Health     | adams          | migraine checkup
Tran        | Minh Anh      | female | 2012-09-14 | 301 Cedar Avenue     | Quincy MA 02169     | MassHealth     | adams          | asthma cold
Abernathy   | Douglas       | male   | 1949-01-30 | 17 Orchard Terrace   | Dedham MA 02026     | Medicare       | adams eriksen *| diabetes lipids
Yilmaz      | Deniz         | other  | 1996-08-08 | 240 Beacon Row       | Boston MA 02116     | Bay Health     | adams diallo   | depression checkup
Castillo    | Rosa Elena    | female | 1972-04-19 | 66 Willow Court      | Chelsea MA 02150    | MassHealth     | adams          | backpain reflux
Whitehorse  | Joseph        | male   | 1988-12-02 | 9 Falcon Way         | Waltham MA 02451    | Harbor Mutual  | adams          | cold checkup
Novak       | Katarina      | female | 1979-10-11 | 41 Spruce Hill       | Arlington MA 02474  | Bay Health     | adams baker *  | thyroid checkup
Haddad      | Elias         | male   | 1965-03-27 | 150 Canal Street     | Malden MA 02148     | Harbor Mutual  | adams baker    | diabetes hypertension
Petrosyan   | Anahit        | female | 2003-07-05 | 28 Common Street     | Watertown MA 02472  | Bay Health     | adams baker    | dermatitis checkup
Greenwood   | Beatrice May  | female | 1938-05-21 | 3 Rectory Close      | Concord MA 01742    | Medicare       | baker chen *   | fibrillation hypertension
Mbeki       | Thabo         | male   | 1993-02-09 | 512 Tremont Walk     | Boston MA 02118     | Harbor Mutual  | baker farouk   | hiv checkup
O'Sullivan  | Fionnuala     | female | 1969-09-30 | 77 Shamrock Street   | Boston MA 02122     | Bay Health     | baker          | reflux migraine
Kowalczyk   | Zbigniew      | male   | 1954-06-18 | 19 Foundry Street    | Lowell MA 01852     | Medicare       | baker          | backpain hypertension
Rahman      | Nusrat Jahan  | female | 1986-11-23 | 233 Pearl Street     | Cambridge MA 02139  | MassHealth     | baker eriksen  | thyroid uti
Jorgensen   | Astrid        | female | 2016-01-12 | 6 Kestrel Lane       | Needham MA 02492    | Bay Health     | baker          | cold asthma
Delacroix   | Emile         | male   | 1977-08-16 | 94 Juniper Road      | Salem MA 01970      | Harbor Mutual  | baker diallo   | alcohol checkup
Nakamura    | Haruto        | male   | 1999-05-04 | 18 Observatory Hill  | Cambridge MA 02138  | Bay Health     | baker          | anxiety checkup
Ferreira    | Joao Miguel   | male   | 1961-12-20 | 45 Wharf Street      | Fall River MA 02721 | MassHealth     | chen           | hypertension lipids
Singh       | Harpreet Kaur | female | 1974-03-08 | 130 Linden Street    | Framingham MA 01702 | Harbor Mutual  | chen eriksen * | diabetes lipids
Blackwood   | Gareth        | male   | 1943-07-29 | 2 Chapel Green       | Lexington MA 02420  | Medicare       | chen           | fibrillation lipids
Ivanova     | Svetlana      | female | 1982-10-31 | 71 Granite Avenue    | Milton MA 02186     | Bay Health     | diallo         | anxiety depression
Boateng     | Kwame         | male   | 2001-04-13 | 360 Harvard Passage  | Allston MA 02134    | MassHealth     | diallo         | depression
Silverstein | Miriam        | female | 1958-08-27 | 25 Temple Place      | Sharon MA 02067     | Medicare       | eriksen        | thyroid diabetes
Gutierrez   | Mateo         | male   | 1990-01-06 | 84 Marina Drive      | Revere MA 02151     | Harbor Mutual  | farouk         | hiv
Van Dijk    | Liesbeth      | female | 1967-02-14 | 10 Tulip Court       | Natick MA 01760     | Bay Health     | farouk         | uti checkup
Kamaka      | Leilani       | female | 1995-06-01 | 53 Harbor View       | Hull MA 02045       | Harbor Mutual  | adams          | dermatitis migraine
Osei        | Abena         | female | 2009-11-19 | 167 Summit Avenue    | Worcester MA 01604  | MassHealth     | baker          | asthma
Fitzgerald  | Liam Patrick  | male   | 1980-09-09 | 39 Anchor Street     | Gloucester MA 01930 | Bay Health     | adams          | backpain checkup
"""

# login | role | label; the patient's account belongs to the first patient above and has no label
_ACCOUNTS: Final = """
admin@demo      | admin        | Administration
compliance@demo | compliance   | Compliance
reception@demo  | receptionist | Front desk
nurse@demo      | nurse        | Nurse Okafor
patient@demo    | patient      |
"""


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table, one row a line, parted by bars."""
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


DOCTORS: Final = rows(_DOCTORS)
PATIENTS: Final = rows(_PATIENTS)
ACCOUNTS: Final = rows(_ACCOUNTS)
