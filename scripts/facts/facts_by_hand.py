"""What `make_facts.py` cannot take from a package: the names people use, and the answers that need judgement."""

COUNTRIES = {
    "AD": ("Andorra", "Principality of Andorra"),
    "AE": ("the United Arab Emirates", "UAE", "Emirates"),
    "AF": ("Afghanistan",),
    "AG": ("Antigua and Barbuda", "Antigua"),
    "AL": ("Albania", "Republic of Albania"),
    "AM": ("Armenia", "Republic of Armenia"),
    "AO": ("Angola", "Republic of Angola"),
    "AR": ("Argentina", "Argentine Republic"),
    "AT": ("Austria", "Republic of Austria"),
    "AU": ("Australia", "Commonwealth of Australia"),
    "AZ": ("Azerbaijan", "Republic of Azerbaijan"),
    "BA": ("Bosnia and Herzegovina", "Bosnia", "Bosnia-Herzegovina", "Bosnia and Hercegovina"),
    "BB": ("Barbados",),
    "BD": ("Bangladesh",),
    "BE": ("Belgium", "Kingdom of Belgium"),
    "BF": ("Burkina Faso", "Burkina"),
    "BG": ("Bulgaria", "Republic of Bulgaria"),
    "BH": ("Bahrain", "Kingdom of Bahrain"),
    "BI": ("Burundi", "Republic of Burundi"),
    "BJ": ("Benin", "Republic of Benin"),
    "BN": ("Brunei", "Brunei Darussalam"),
    "BO": ("Bolivia", "Plurinational State of Bolivia"),
    "BR": ("Brazil", "Brasil", "Federative Republic of Brazil"),
    "BS": ("the Bahamas", "Commonwealth of the Bahamas"),
    "BT": ("Bhutan", "Kingdom of Bhutan"),
    "BW": ("Botswana", "Republic of Botswana"),
    "BY": ("Belarus", "Republic of Belarus", "Byelorussia"),
    "BZ": ("Belize",),
    "CA": ("Canada",),
    "CD": ("the Democratic Republic of the Congo", "DR Congo", "DRC", "Congo-Kinshasa", "Congo"),
    "CF": ("the Central African Republic", "CAR"),
    "CG": ("the Republic of the Congo", "Congo-Brazzaville", "Congo"),
    "CH": ("Switzerland", "Swiss Confederation"),
    "CI": ("Ivory Coast", "Côte d'Ivoire", "the Ivory Coast"),
    "CL": ("Chile", "Republic of Chile"),
    "CM": ("Cameroon", "Republic of Cameroon"),
    "CN": ("China", "People's Republic of China", "PRC", "Mainland China"),
    "CO": ("Colombia", "Republic of Colombia"),
    "CR": ("Costa Rica", "Republic of Costa Rica"),
    "CU": ("Cuba", "Republic of Cuba"),
    "CV": ("Cape Verde", "Cabo Verde"),
    "CY": ("Cyprus", "Republic of Cyprus"),
    "CZ": ("the Czech Republic", "Czechia"),
    "DE": ("Germany", "Federal Republic of Germany"),
    "DJ": ("Djibouti", "Republic of Djibouti"),
    "DK": ("Denmark", "Kingdom of Denmark"),
    "DM": ("Dominica", "Commonwealth of Dominica"),
    "DO": ("the Dominican Republic",),
    "DZ": ("Algeria",),
    "EC": ("Ecuador", "Republic of Ecuador"),
    "EE": ("Estonia", "Republic of Estonia"),
    "EG": ("Egypt", "Arab Republic of Egypt"),
    "ER": ("Eritrea", "State of Eritrea"),
    "ES": ("Spain", "Kingdom of Spain"),
    "ET": ("Ethiopia",),
    "FI": ("Finland", "Republic of Finland"),
    "FJ": ("Fiji", "Republic of Fiji"),
    "FM": ("the Federated States of Micronesia", "Micronesia"),
    "FR": ("France", "French Republic"),
    "GA": ("Gabon",),
    "GB": (
        "the United Kingdom",
        "UK",
        "U.K.",
        "Great Britain",
        "Britain",
        "United Kingdom of Great Britain and Northern Ireland",
    ),
    "GD": ("Grenada",),
    "GE": ("Georgia", "Republic of Georgia"),
    "GH": ("Ghana", "Republic of Ghana"),
    "GM": ("the Gambia",),
    "GN": ("Guinea", "Guinea-Conakry"),
    "GQ": ("Equatorial Guinea",),
    "GR": ("Greece", "Hellenic Republic"),
    "GT": ("Guatemala", "Republic of Guatemala"),
    "GW": ("Guinea-Bissau",),
    "GY": ("Guyana",),
    "HN": ("Honduras", "Republic of Honduras"),
    "HR": ("Croatia", "Republic of Croatia"),
    "HT": ("Haiti", "Republic of Haiti"),
    "HU": ("Hungary",),
    "ID": ("Indonesia", "Republic of Indonesia"),
    "IE": ("Ireland", "Republic of Ireland"),
    "IL": ("Israel", "State of Israel"),
    "IN": ("India", "Republic of India"),
    "IQ": ("Iraq", "Republic of Iraq"),
    "IR": ("Iran", "Islamic Republic of Iran"),
    "IS": ("Iceland",),
    "IT": ("Italy", "Italian Republic"),
    "JM": ("Jamaica",),
    "JO": ("Jordan", "Hashemite Kingdom of Jordan"),
    "JP": ("Japan",),
    "KE": ("Kenya", "Republic of Kenya"),
    "KG": ("Kyrgyzstan", "Kyrgyz Republic"),
    "KH": ("Cambodia", "Kingdom of Cambodia", "Kampuchea"),
    "KI": ("Kiribati", "Republic of Kiribati"),
    "KM": ("the Comoros", "Union of the Comoros"),
    "KN": ("Saint Kitts and Nevis",),
    "KP": ("North Korea", "DPRK"),
    "KR": ("South Korea", "Republic of Korea", "Korea", "ROK"),
    "KW": ("Kuwait", "State of Kuwait"),
    "KZ": ("Kazakhstan", "Republic of Kazakhstan"),
    "LA": ("Laos", "Lao PDR", "Lao People's Democratic Republic"),
    "LB": ("Lebanon", "Lebanese Republic"),
    "LC": ("Saint Lucia",),
    "LI": ("Liechtenstein", "Principality of Liechtenstein"),
    "LK": ("Sri Lanka", "Ceylon"),
    "LR": ("Liberia", "Republic of Liberia"),
    "LS": ("Lesotho", "Kingdom of Lesotho"),
    "LT": ("Lithuania", "Republic of Lithuania"),
    "LU": ("Luxembourg", "Grand Duchy of Luxembourg"),
    "LV": ("Latvia", "Republic of Latvia"),
    "LY": ("Libya", "State of Libya"),
    "MA": ("Morocco", "Kingdom of Morocco"),
    "MC": ("Monaco", "Principality of Monaco"),
    "MD": ("Moldova", "Republic of Moldova"),
    "ME": ("Montenegro",),
    "MG": ("Madagascar", "Republic of Madagascar"),
    "MH": ("the Marshall Islands",),
    "MK": ("North Macedonia", "Macedonia", "Republic of North Macedonia", "FYROM"),
    "ML": ("Mali", "Republic of Mali"),
    "MM": ("Myanmar", "Burma"),
    "MN": ("Mongolia",),
    "MR": ("Mauritania",),
    "MT": ("Malta", "Republic of Malta"),
    "MU": ("Mauritius", "Republic of Mauritius"),
    "MV": ("the Maldives", "Republic of Maldives"),
    "MW": ("Malawi", "Republic of Malawi"),
    "MX": ("Mexico",),
    "MY": ("Malaysia",),
    "MZ": ("Mozambique", "Republic of Mozambique"),
    "NA": ("Namibia", "Republic of Namibia"),
    "NE": ("Niger", "Republic of Niger"),
    "NG": ("Nigeria",),
    "NI": ("Nicaragua", "Republic of Nicaragua"),
    "NL": ("the Netherlands", "Holland", "Kingdom of the Netherlands"),
    "NO": ("Norway", "Kingdom of Norway"),
    "NP": ("Nepal",),
    "NR": ("Nauru", "Republic of Nauru"),
    "NZ": ("New Zealand", "Aotearoa New Zealand"),
    "OM": ("Oman", "Sultanate of Oman"),
    "PA": ("Panama", "Republic of Panama"),
    "PE": ("Peru", "Republic of Peru"),
    "PG": ("Papua New Guinea",),
    "PH": ("the Philippines", "Republic of the Philippines"),
    "PK": ("Pakistan",),
    "PL": ("Poland", "Republic of Poland"),
    "PT": ("Portugal", "Portuguese Republic"),
    "PW": ("Palau", "Republic of Palau"),
    "PY": ("Paraguay", "Republic of Paraguay"),
    "QA": ("Qatar", "State of Qatar"),
    "RO": ("Romania",),
    "RS": ("Serbia", "Republic of Serbia"),
    "RU": ("Russia", "Russian Federation"),
    "RW": ("Rwanda", "Republic of Rwanda"),
    "SA": ("Saudi Arabia", "Kingdom of Saudi Arabia", "KSA"),
    "SB": ("the Solomon Islands",),
    "SC": ("Seychelles", "the Seychelles", "Republic of Seychelles"),
    "SD": ("Sudan",),
    "SE": ("Sweden", "Kingdom of Sweden"),
    "SG": ("Singapore", "Republic of Singapore"),
    "SI": ("Slovenia", "Republic of Slovenia"),
    "SK": ("Slovakia", "Slovak Republic"),
    "SL": ("Sierra Leone",),
    "SM": ("San Marino",),
    "SN": ("Senegal", "Republic of Senegal"),
    "SO": ("Somalia",),
    "SR": ("Suriname", "Surinam", "Republic of Suriname"),
    "SS": ("South Sudan",),
    "ST": ("São Tomé and Príncipe",),
    "SV": ("El Salvador", "Republic of El Salvador"),
    "SY": ("Syria", "Syrian Arab Republic"),
    "SZ": ("Eswatini", "Swaziland", "Kingdom of Eswatini"),
    "TD": ("Chad", "Republic of Chad"),
    "TG": ("Togo", "Togolese Republic"),
    "TH": ("Thailand", "Kingdom of Thailand"),
    "TJ": ("Tajikistan", "Republic of Tajikistan"),
    "TL": ("East Timor", "Timor-Leste"),
    "TM": ("Turkmenistan",),
    "TN": ("Tunisia", "Republic of Tunisia"),
    "TO": ("Tonga", "Kingdom of Tonga"),
    "TR": ("Turkey", "Türkiye", "Republic of Turkey", "Republic of Türkiye"),
    "TT": ("Trinidad and Tobago", "Trinidad"),
    "TV": ("Tuvalu",),
    "TW": ("Taiwan",),
    "TZ": ("Tanzania", "United Republic of Tanzania"),
    "UA": ("Ukraine",),
    "UG": ("Uganda", "Republic of Uganda"),
    "US": ("the United States", "USA", "United States of America", "US", "U.S.", "U.S.A.", "America"),
    "UY": ("Uruguay",),
    "UZ": ("Uzbekistan", "Republic of Uzbekistan"),
    "VA": ("Vatican City", "Vatican", "the Vatican", "Holy See", "Vatican City State"),
    "VC": ("Saint Vincent and the Grenadines", "Saint Vincent"),
    "VE": ("Venezuela",),
    "VN": ("Vietnam", "Viet Nam"),
    "VU": ("Vanuatu", "Republic of Vanuatu"),
    "WS": ("Samoa",),
    "XK": ("Kosovo", "Republic of Kosovo"),
    "YE": ("Yemen", "Republic of Yemen"),
    "ZA": ("South Africa", "RSA"),
    "ZM": ("Zambia", "Republic of Zambia"),
    "ZW": ("Zimbabwe", "Republic of Zimbabwe"),
}
"""By ISO code, the names of the members of the United Nations, Kosovo, Taiwan and Vatican City, the commonest first.

"the" belongs to the name in a sentence. Official names are here where no other country's is alike: "Islamic Republic
of Iran" and "Islamic Republic of Pakistan" share three words of four, and Rouge-L takes one for the other.
"""

HOME_NATIONS = {"ENG": "England", "SCT": "Scotland", "WLS": "Wales", "NIR": "Northern Ireland"}
"""By first-order region of the United Kingdom: to a city's country, an answer that nobody would mark wrong."""

CONFUSABLE = ("CD", "CG")
"""Never an answer: "Republic of the Congo" is four of the five words of the other Congo's name."""

DISPUTED_TIMEZONES = ("Asia/Famagusta", "Asia/Gaza", "Asia/Hebron", "Europe/Simferopol")
"""Where two states claim, or people dispute, the country of a city."""

DISPUTED_CITIES = (
    *("Jerusalem", "Kyrenia", "Stepanakert", "Xankandi", "Sokhumi", "Tskhinvali", "Bender", "Tiraspol"),
    *("Donetsk", "Luhansk", "Makiivka", "Horlivka", "Alchevsk", "Mariupol", "Melitopol", "Berdyansk", "Kherson"),
    *("Srinagar", "Jammu", "Muzaffarabad", "Gilgit"),
)
"""Cities in other such places."""

CAPITALS: dict[str, tuple[str, ...]] = {
    "BI": ("Gitega", "Bujumbura"),  # political and economic capital, by the same law
    "BJ": ("Porto-Novo", "Cotonou"),  # constitution, seat of government
    "BO": ("Sucre", "La Paz"),  # constitution, seat of government
    "BR": ("Brasília",),
    "CH": ("Bern", "Berne"),
    "CL": ("Santiago", "Santiago de Chile"),
    "CM": ("Yaoundé",),
    "CO": ("Bogotá", "Bogotá, D.C."),
    "CR": ("San José",),
    "DJ": ("Djibouti", "Djibouti City"),
    "DZ": ("Algiers", "Alger"),
    "FM": ("Palikir",),
    "GQ": (),  # moved in 2026
    "GT": ("Guatemala City", "Guatemala", "Ciudad de Guatemala"),
    "IL": (),  # disputed
    "IN": ("New Delhi", "Delhi"),
    "IS": ("Reykjavík",),
    "KH": ("Phnom Penh", "Pnom Penh"),
    "KI": ("South Tarawa", "Tarawa"),
    "KW": ("Kuwait City", "Kuwait"),
    "KZ": ("Astana",),
    "LK": ("Colombo", "Sri Jayawardenepura Kotte", "Sri Jayewardenepura Kotte", "Kotte"),  # both are named
    "LU": ("Luxembourg", "Luxembourg City"),
    "MC": (),  # the city is the state
    "MD": ("Chișinău", "Kishinev"),
    "MM": ("Naypyidaw", "Nay Pyi Taw", "Naypyitaw"),
    "MN": ("Ulaanbaatar", "Ulan Bator"),
    "MV": ("Malé",),
    "MX": ("Mexico City", "Mexico", "Ciudad de México", "Mexico D.F."),
    "MY": ("Kuala Lumpur", "Putrajaya"),  # constitution, seat of government
    "NP": ("Kathmandu", "Katmandu"),
    "NR": (),  # has none by law
    "PA": ("Panama City", "Panama", "Ciudad de Panamá"),
    "PW": ("Ngerulmud", "Melekeok"),
    "PY": ("Asunción",),
    "SA": ("Riyadh", "Riyad"),
    "SG": (),  # the city is the state
    "SM": ("San Marino", "City of San Marino"),
    "ST": ("São Tomé",),
    "SZ": ("Mbabane", "Lobamba"),  # executive, legislative
    "TD": ("N'Djamena",),
    "TG": ("Lomé",),
    "TM": ("Ashgabat", "Ashkhabad"),
    "TW": ("Taipei", "Taipei City"),
    "UA": ("Kyiv", "Kiev"),
    "US": ("Washington, D.C.", "Washington", "Washington DC"),
    "VA": (),  # the city is the state
    "XK": ("Pristina", "Prishtina"),
    "YE": ("Sana'a",),
    "ZA": ("Pretoria", "Cape Town", "Bloemfontein"),  # executive, legislative, judicial
}
"""Where the capital is not the one name that GeoNames gives; empty where a person could dispute any answer."""

CONTINENTS: dict[str, tuple[str, ...]] = {
    "AM": ("Asia", "Europe"),
    "AU": (),  # the question holds the answer
    "AZ": ("Asia", "Europe"),
    "CF": (),  # the question holds the answer
    "CY": ("Asia", "Europe"),
    "GE": ("Asia", "Europe"),
    "ID": ("Asia",),
    "KZ": ("Asia", "Europe"),
    "RU": ("Europe", "Asia"),
    "TL": ("Asia",),
    "TR": ("Asia", "Europe"),
    "ZA": (),  # the question holds the answer
}
"""Where the continent is not the one that GeoNames gives; empty where there is nothing to ask."""

CURRENCIES: dict[str, tuple[str, ...]] = {
    "AED": ("UAE dirham", "United Arab Emirates dirham", "Emirati dirham"),
    "AFN": ("afghani", "Afghan afghani"),
    "BAM": ("convertible mark", "Bosnian mark", "Bosnian convertible mark", "Bosnia-Herzegovina convertible mark"),
    "BOB": ("boliviano", "Bolivian boliviano"),
    "BYN": ("Belarusian ruble", "Belarusian rouble", "rouble"),
    "CNY": ("Chinese yuan", "renminbi", "RMB", "yuan renminbi", "Chinese renminbi"),
    "BRL": ("Brazilian real", "reais", "Brazilian reais"),
    "CRC": ("Costa Rican colón", "colones", "Costa Rican colones"),
    "GBP": ("British pound", "pound sterling", "pounds sterling", "sterling", "British pound sterling"),
    "GYD": ("Guyanese dollar", "Guyana dollar"),
    "ILS": ("Israeli shekel", "new shekel", "Israeli new shekel", "NIS"),
    "KGS": ("Kyrgyzstani som", "Kyrgyz som"),
    "LAK": ("Lao kip", "Laotian kip"),
    "PLN": ("Polish złoty",),
    "RUB": ("Russian ruble", "Russian rouble", "rouble"),
    "STN": ("dobra", "São Tomé dobra", "São Tomé and Príncipe dobra"),
    "SZL": ("lilangeni", "Swazi lilangeni", "emalangeni"),
    "TJS": ("somoni", "Tajikistani somoni", "Tajik somoni"),
    "TOP": ("paʻanga", "pa'anga", "Tongan paʻanga", "Tongan pa'anga"),
    "TTD": ("Trinidad and Tobago dollar", "Trinidadian dollar", "TT dollar"),
    "TWD": ("New Taiwan dollar", "Taiwan dollar", "Taiwanese dollar"),
    "USD": ("US dollar", "U.S. dollar", "United States dollar", "American dollar"),
    # The two CFA francs differ in one word of four, which Rouge-L does not tell apart.
    "XAF": ("CFA franc", "FCFA"),
    "XOF": ("CFA franc", "FCFA"),
    "XCD": ("East Caribbean dollar", "Eastern Caribbean dollar", "Caribbean dollar"),
}
"""By ISO code, the names of a currency that CLDR's own does not cover; the last word alone is added by the script."""

SECOND_CURRENCIES = {
    "BT": "INR",
    "LS": "ZAR",
    "NA": "ZAR",
    "PA": "USD",
    "SZ": "ZAR",
}
"""Legal tender beside the national currency."""

DISPUTABLE_CURRENCIES = (
    "BG",  # the euro since 2026
    "SD",  # "Sudanese pound" has two of the three words of "South Sudanese pound"
    "SS",
    "PG",  # "Papua New Guinean dollar" has three of the right four words
    "ZW",  # several in few years
)

ELEMENTS = {"Al": "Aluminium", "Cs": "Caesium", "S": "Sulphur"}
"""A second spelling, by symbol."""

FOREIGN_NAMES = {
    ("de", "BA"): ("Bosnien-Herzegowina", "Bosnien"),
    ("de", "BW"): ("Botswana",),
    ("de", "CZ"): ("Tschechische Republik",),
    ("de", "GB"): ("Großbritannien",),
    ("de", "NL"): ("Holland",),
    ("es", "BY"): ("Belarús",),
    ("es", "GB"): ("Gran Bretaña",),
    ("es", "MW"): ("Malawi",),
    ("es", "NL"): ("Holanda",),
    ("fr", "KN"): ("Saint-Kitts-et-Nevis",),
    ("fr", "NL"): ("Hollande",),
}
"""By language and country, names that CLDR does not give."""

CITY_NAMES = {
    "Assiut": ("Asyut",),
    "Basrah": ("Basra",),
    "Da Nang": ("Danang",),
    "Frankfurt am Main": ("Frankfurt",),
    "Ho Chi Minh City": ("Saigon",),
    "Kyiv": ("Kiev",),
}
"""Other English names of a city, where it is an answer."""

DISPUTED_AIRPORTS = ("EBB", "FTW", "HWR", "NMI", "SPX", "TXL", "XIY", "YYZ")
"""Closed, of general aviation, or of another city than the one that is named (Entebbe, Cairo, Xi'an, Toronto)."""

NOT_A_CITY = ("airport", "block", "cantonment", "colony", "county", "district", "division", "loop", "municipality")
"""Words in the names of what GeoNames lists among the cities."""
