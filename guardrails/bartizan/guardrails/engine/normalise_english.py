"""What English looks like: its common words, and which letters follow which.

Counted over the words of the training texts. Tells what a trick hid from what only looks like one.
"""

import re

_WORDS = """
abide abilities ability able about above absolutely accept acceptable accepted accepts access
accessed accessing according accordingly account accounts accurate achieve across act acting
action actions active activities activity actual actually add added adding addition additional
additionally address addresses adds adhere adjust admin administrator advanced advice african
after again against age agent agents ages ago agree ahead aid air alert algorithm algorithms alice
all allow allowed allowing allows almost alone along alpha already alright also alternative
although always amazing amazon america american among amount analysis analyze analyzing ancient
and angeles animal animals another answer answered answering answers any anymore anyone anything
anywhere appear appears apple application applications applied applies apply appreciate approach
appropriate april arbitrary architecture are area areas argument arguments around array arrive
arrived art article articles artificial artist asian ask asked asking asks assert assigned assist
assistant associated assume assumed assuming attached attachment attack attacker attacks attempt
attempted attempting attempts attention attribute attributes australia authentication author
authorization automated automatic automatically available average avoid await aware away awesome
baby back background backwards bad bag balance ball bank bar base based basic basis batch beat
beautiful became because become becomes been before begin beginning begins behavior behind being
believe belong belongs below benefit best beta better between beyond big bill binary bird birth
birthday bit black block blocked blocking blocks blue board body bomb book books bool born boston
bot both bottom bound box boy boys brackets brand break breaking brief bring british broken
brother brought brown browser bucket budget build building builds built bus business but button
buy bypass bytes cache calculate california call called calling calls came camera can canada
cancel cancelled candidate candidates cannot capabilities capable capacity capital capture
captured car card cards care career carry cars case cases cast cat catch category caught cause
caused causes causing censor censorship center central century certain chain challenge chance
change changed changes changing channel character characters charge charged chat chatbot chatgpt
check checked checking checks cheese chicago chicken child children china chinese choice choices
choose chosen chris christmas cities citizens city claim class classes classic clean cleaning
clear clearly click client clients climate close closed cloud club coach code codes coffee collect
collection college color colors column columns combination combined come comedy comes coming
command commands comment comments commit common communication community company compare comparison
compatibility complete completed completely completion complex comply component components compute
computer concept concepts concern concerns concise condition conditions conference confidential
configuration configure configured confines confirm confirmation connect connection connections
consider considered considering consistent console constraints construct contact contain container
containing contains content contents context continue contribute contributions control controls
convention conversation convert converted cook cookie cookies cool copy core correct correctly
corresponding cost costs could count counter counting countries country counts couple course court
cover coverage covered cpu create created creates creating creation creator credentials credit
criteria critical cultural culture cup curious currency current currently custom customer
customers cut dad daily dan dark data database date dates daughter david day days dead deal death
debug debugging december decide decided decision decisions decode decrypt dedicated deep def
default defaults define defined defines definition definitions delay delete deleted delivery delta
demonstrate demonstrates deny dependencies depending depends deployment depth describe described
describes description descriptions descriptive design designed desired despite destination destroy
detail detailed details detect detected determine develop developed developer development device
dictionary did die difference different difficult digital dinner direct direction directions
directive directives directly directory disable disabled discuss discussion disgusting disk
display disregard distance distinct docs document documentation documents does dog dogs doing
domain done door dot double down download draft draw dress drink drive driver driving drop dropped
drugs due dumb duplicate duration during dynamic each earlier early earth easier easily east
eastern easy eat eating economy edge edit education effect effective effects efficient effort
either elected element elements else email emotions empty enable enabled encode encoded encoding
encouraged encrypted end ending endpoint ends energy engage engine engineering england english
enjoy enough ensure ensuring enter entered entire entirely entities entity entries entry
environment environments episode equal equivalent erase error errors especially establish
established etc ethical ethics europe european evaluation even event events ever every everyone
everything evidence evil exact exactly example examples excellent except exception exceptions
exchange exclude execute executed executing execution exfiltrate exist existence existing exists
exit expand expect expected experience experienced experiment expert explain explaining explains
explanation explanations explicit explicitly exploit explosive export exposed express expression
extension external extra extract extreme extremely eyes face fact factors factory facts fail
failed fails failure failures fair fake fall false family fan far fast fault favorite feature
features february feed feedback feel feeling feelings feels feet female fetch few field fields
fight figure file files fill filled film filter filtered filtering filters final finally financial
find finding finds fine finish finished fire first fit five fix fixed flag flags flight float flow
fly focus folder follow followed following follows food football for forbidden force forced
foreign forest forever forget forgot forgotten form format formatted former forward found four
fourth fox frame framework frameworks france francisco free freedom french frequency friday friend
friendly friends from front frozen full fully fun function functionality functions funny further
future gain game games garden gather gave gender general generally generate generated generates
generating generation generator generic george german germany get gets getting girl git github
give given gives giving global goal goals god goes going gold golden gone good google got
government grammar grand grant great greater greatest green ground group groups grow growth guess
guidance guide guideline guidelines hack hacking had hair half hand handle handled handling hands
happen happened happening happens happy hard harmful has hate hates have having head header
headers health healthy hear heard heart heavy height held hello help helpful helps her here hey
hidden hide high higher highest highly him hint his historical history hit hold holds home honest
hook hope host hosted hot hour hours house how however https human humanity humans hypothetical
hypothetically ice idea ideas identifier identify identifying identity idiot ignore ignored
ignoring illegal image images imagine immediately immerse impact implement implementation
implemented import importance important imported improve improved improvements inappropriate
include included includes including incorrect increase independent index india indicate indicates
indicating individual individuals info inform information infrastructure initial initialize inner
input inputs insert inside install installed instance instances instead instruction instructions
integer integration intelligence intelligent intended intent interact interacting interaction
interactions interactive interest interested interesting interface internal international internet
interpret interview into introduce introduced invalid invoke involved irrelevant island issue
issues italy item items its itself jailbreak jailbroken james january japan java javascript job
jobs join joke judge july just keep keeping keeps kept key keys keyword keywords kid kill kind
king kingdom know knowledge known label labels lack land language languages large larger largest
last late later latest law lazy lead leader leading league leak learn learning least leave leaves
leaving left legal length less let lets letter letters level levels libraries library lies life
light lights like likely limit limitations limited limits line lines link linked links linux list
listed listen lists literal little live lives living load loaded loads local locate located
location locations lock locked log logged logging logic logical login logs london long longer look
looked looking looks loop lose loser lost lot lots love low lower machine made main maintain major
majority make makes making male malicious malware man manage managed management manager managing
mandatory manner manual manually many map mapping march mark markdown market marketing marks mass
master match matches matching material math matter max maximum may maybe mean meaning means meant
measures mechanism media medium meet meeting member members memory men mental mention mentioned
merge merged message messages met meta metadata method methods metric metrics mexico michael
microsoft middle might miles million mind mine minimal minimum minor minute minutes miss missing
mission mix mobile mode model models modern modification modified modify modifying module modules
mom moment money monitor monitoring month months moon moral morals more morning moron most mostly
mother move moved movement movie movies moving much multiple murder music must myself name named
names namespace naming national nations native natural nature navigate near necessary need needed
needs negative neither network never new news next nice night node non none nor normal normally
north not note notes nothing notice novel now null number numbers obey object objective objects
occur occurred occurs october off offensive offer offers office official often oil okay old older
once one ones online only onto open openai opening operating operation operations opinions option
optional options orange order ordered orders organization origin original other others otherwise
our out outcome output outputs outside over overall override overrides overview own owned owner
owners package page pages paid pair pairs paper paragraph paragraphs parallel parameter parameters
parent parents paris park parse part partial particular particularly partner parts party pass
passed passes passing password passwords past path pathetic paths pattern patterns paul paused pay
payload payment people per percentage perfect perform performance performed performing period
permission permissions person persona personal personality perspective peter phishing phone phrase
physical pick piece pirate place placed places plain plan planet planning plans platform play
played player playing plays please plus poem point pointing points poison police policies policy
political pool pop popular population port position positive possible possibly post potential
potentially power powerful practice practices preceding prefer prefix prefixed prepare presence
present presented presents preserve president press pretend pretty prevent previous previously
price primary prime principles print prior priority privacy private pro probably problem problems
procedure proceed process processed processes processing produce produced produces product
production products profanity professional profile program programming progress project projects
promote prompt prompted prompts proper properly properties property proposed protect protection
protocol prove provide provided provider provides providing public publish published pull
punctuation purchase pure purpose purposes push put putting pwned python quality queries query
question questions queue quick quickly quite quote quotes race raise raised raises raising random
range rank rate rates rather raw reach reached react read readers reading reads ready real really
reason reasoning reasons receive received receives recent recently recipe recommend
recommendations recommended record recorded recording records red reduce refer reference
references refusal refuse regarding regardless region register regular rejected related
relationship relationships relative release released relevant remain remaining remains remember
remind reminder remote remove removed removing render rent repeat replace replaced replies reply
report reported reporting reports repository represent representation represented representing
represents republic request requested requests require required requirement requirements requires
research researcher reset resolution resolve resolved resource resources respect respond response
responses responsibility responsible rest restaurant restricted restriction restrictions result
resulting results retrieve return returned returning returns reveal reverse review rich right risk
river road robot rock role roleplay roles roll room root round route row rows rule rules run
running runs runtime safe safety said sales same sample save saved saw say saying says scale
scenario scenarios scene schedule scheduled schema school schools science scientific scope score
screen script scripts sea search season second seconds secret secrets section secure security see
seeing seem seems seen select selected self send sending sends sense sensitive sent sentence
sentences separate separated sequence series serious serve server service services session set
sets setting settings setup several shall shape share shared sharing she shell ship shop shopping
short shorter should show showing shown shows shut side sign signal signature significant signs
silver similar simple simply simulate simulation since single sit site situation situations six
size skills skip sky sleep slightly slow small smart smith snippet social society soft software
sole solely solution solve some someone something sometimes son song soon sort sorted sound sounds
source sources south space spaces spain span spanish speak speaking special species specific
specifically specified specify specifying speech speed spell spelling spend spending spent spirit
split sports square stable stack stand standard stands star stars start started starting starts
startup state statement statements states static station statistics status stay steal stealing
step steps stick still stock stop stopped stops storage store stored stores stories story straight
strange strategy stream street strength strict string strings strong structure structured student
students study studying stuff stupid style sub subject submit subsequent success successful
successfully such suggest suggestions suggests suicide suitable sum summary sun super support
supported supporting supports suppose supposed sure surface switch symbols syntax system systems
tab table tables tag tags take taken takes taking talk talking talks tall target task tasks
teacher team teams tech technology tell telling tells temperature template templates temporarily
temporary term terminal terms test testing tests text texts than thank thanks that the their them
theme themselves then theory there therefore these they thing things think thinking third this
those though thought thoughts thread three threshold through throughout throw thus ticket time
timeout times timestamp tiny tip title today together token tokens told tom tomorrow too took tool
tools top topic topics total touch towards town trace track tracking traditions traffic train
trained training transaction transfer transform translate translation transport trash travel treat
treated tree tried tries trigger trip trouble true trust trusted try trying turn turned turns
twice two type types typical typically typing ugly unable uncensored under understand
understanding understood unexpected unfiltered unfortunately union unique unit united units
universe university unknown unless unrestricted until update updated updates updating upload upon
upper usage use used useful user username users uses using usual usually valid validate validation
value values variable variables various verbatim verified verify version versions very via video
view views violence violent virtual virus visible visit visiting voice volume vote vulnerability
wait waiting walk walking wall want wanted wants war warm warn warning warnings was washington
watch watching water way ways weak weapon weather web website week weekend weight welcome well
went were west what whatever when whenever where whether which while white who whole whose why
wide width wife wikipedia will willing win wind window windows wish with within without woman
women wonder word words work worked worker workers working works world worth worthless would wow
wrap write writer writes writing written wrong wrote year years yellow yes yesterday yet yield
york you young your yourself youtube zero
"""

COMMON_WORDS = frozenset(_WORDS.split())
"""Of three letters and more, in lower case, the usual words of attacks among them."""

_SHORT = "a am an as at be by do go he hi if in is it me my no of on or so to up us we i"

SHORT_WORDS = frozenset(_SHORT.split())

FOLLOWS = (
    "234401304035460305562310303",  # a
    "510070005206005004315000404",  # b
    "603050054054006004254000204",  # c
    "400360005002115003303000207",  # d
    "404432102004351215540313207",  # e
    "400054006003006005035000206",  # f
    "400060345003035004404000107",  # g
    "600070006000005002042000206",  # h
    "324443300024475303550300012",  # i
    "600060003000006000407000002",  # j
    "300072106002042001501010107",  # k
    "501461005016105100333110506",  # l
    "640070005000415500304000406",  # m
    "404552603022024000552100306",  # n
    "123314202024463306346340005",  # o
    "500160034005105406344000305",  # p
    "200000000004000000008000003",  # q
    "502360205022335003443100406",  # r
    "303050044021114300464010207",  # s
    "402050065002005104333010307",  # t
    "334341303005450406650000105",  # u
    "500080006000004000000000002",  # v
    "600050066001046004300000006",  # w
    "505050005000000600063001206",  # x
    "210040003002226300430010008",  # y
    "600070006001004000103000445",  # z
    "544434345213444404553240300",  # border
)
"""How well each of a-z and the border of a word follow each: 9 + log2 of the share, 0 to 9."""

IMPLAUSIBLE = 0
"""Two letters that so seldom meet that a word with them was hardly meant."""

PLAUSIBLE = 3.8
"""The least mean of an English word that is not a common one."""

_A_TO_Z = "abcdefghijklmnopqrstuvwxyz "

_PAIRS = {
    first + second: int(value)
    for first, row in zip(_A_TO_Z, FOLLOWS, strict=True)
    for second, value in zip(_A_TO_Z, row, strict=True)
}

_RUN = re.compile(r"[A-Za-z]+")


def is_common(word: str) -> bool:
    """Returns True for a common English word, in whatever case."""
    lowered = word.lower()
    return lowered in COMMON_WORDS or lowered in SHORT_WORDS


def is_plausible(word: str) -> bool:
    """Returns True if letters of ASCII read like an English word, known or not."""
    lowered = word.lower()
    if lowered in COMMON_WORDS:
        return True
    values = _values(lowered)
    return min(values) > IMPLAUSIBLE and sum(values) >= PLAUSIBLE * len(values)


def fluency(text: str) -> float:
    """Returns how English the letters of a text are: 0 for none at all, about 4.5 for prose."""
    values = [value for run in _RUN.findall(text.lower()) for value in _values(run)]
    return sum(values) / len(values) if values else 0.0


def _values(lowered: str) -> list[int]:
    pairs = zip(f" {lowered}", f"{lowered} ", strict=True)
    return [_PAIRS.get(first + second, IMPLAUSIBLE) for first, second in pairs]
