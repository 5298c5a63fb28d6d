"""A wide list of sounds and the ways people caption them, for generated instructions."""

from __future__ import annotations

import random

# Things that sound, with what they do (-ing form).
_SOURCES = """
dog: barking howling whining growling panting whimpering yapping | puppy: whining yelping barking
cat: meowing purring hissing yowling | kitten: mewing meowing | horse: neighing galloping snorting trotting
cow: mooing lowing | bull: bellowing snorting | sheep: bleating baaing | goat: bleating | lamb: bleating
pig: grunting squealing oinking | piglet: squealing | rooster: crowing | hen: clucking | chicken: clucking pecking
duck: quacking | goose: honking | turkey: gobbling | pigeon: cooing flapping | dove: cooing | owl: hooting
crow: cawing | raven: croaking | seagull: calling squawking crying | parrot: talking squawking | bird: singing chirping tweeting
sparrow: chirping | woodpecker: drumming pecking | cuckoo: calling | nightingale: singing | swan: trumpeting | eagle: screeching
frog: croaking | toad: croaking | cricket: chirping | cicada: buzzing droning | bee: buzzing humming | wasp: buzzing
fly: buzzing | mosquito: whining buzzing | insect: buzzing chirping | snake: hissing rattling | lion: roaring | tiger: growling roaring
wolf: howling | fox: screaming barking | bear: growling | elephant: trumpeting | monkey: screeching chattering | whale: singing calling
dolphin: clicking whistling | mouse: squeaking scratching | rat: squeaking | squirrel: chattering | donkey: braying | deer: calling
man: talking speaking shouting laughing coughing singing snoring whistling sneezing humming | woman: talking speaking singing laughing crying screaming whispering sighing
boy: shouting laughing talking | girl: singing giggling talking | child: laughing crying playing talking | children: playing shouting laughing singing
baby: crying babbling laughing giggling cooing | toddler: crying babbling | kid: yelling screaming | kids: playing running yelling
crowd: cheering applauding chanting booing murmuring | audience: clapping laughing | people: talking chatting laughing clapping cheering whispering walking
person: breathing coughing sneezing whistling typing eating walking running | someone: talking knocking snoring typing hammering chewing
singer: singing humming | choir: singing | teacher: talking lecturing | announcer: speaking | reporter: talking | narrator: reading
politician: giving a speech | priest: praying | actor: speaking | comedian: joking | host: talking | lady: chatting | guy: yelling mumbling | gentleman: coughing
piano: playing | guitar: playing strumming | violin: playing | cello: playing | flute: playing | trumpet: playing blaring | saxophone: playing
drum: beating rolling | clarinet: playing | harp: playing | organ: playing | accordion: playing | banjo: playing | ukulele: strumming | harmonica: playing
band: playing rehearsing | orchestra: tuning playing | radio: playing blaring | television: playing | television set: humming | music: playing blasting
bell: ringing tolling chiming | church bell: ringing | doorbell: ringing | phone: ringing vibrating buzzing | telephone: ringing | alarm: beeping ringing blaring
alarm clock: ringing beeping | smoke detector: beeping chirping | siren: wailing blaring | ambulance: passing wailing | police car: passing | fire engine: wailing
car: honking passing starting idling accelerating | truck: reversing passing idling | bus: braking passing | motorcycle: revving passing | scooter: buzzing
train: passing whistling rumbling | tram: screeching passing | subway: arriving rumbling | airplane: flying landing | jet: roaring | helicopter: hovering flying
boat: motoring | ship: sounding its horn | bicycle: squeaking | tractor: chugging | engine: idling revving starting knocking stalling | generator: humming running
lawn mower: running starting | chainsaw: cutting buzzing revving | drill: drilling whirring | hammer: hitting pounding | saw: cutting sawing | jackhammer: pounding
vacuum cleaner: running | washing machine: spinning | dishwasher: running | blender: whirring | microwave: beeping humming | fridge: humming
kettle: whistling boiling | coffee machine: gurgling | hair dryer: blowing | fan: whirring spinning | air conditioner: humming running | heater: clicking
computer: humming whirring | printer: printing | keyboard: clicking clattering | mouse: clicking | camera: clicking | clock: ticking chiming striking
door: slamming creaking closing opening squeaking | window: breaking rattling | gate: squeaking | floor: creaking | chair: scraping | drawer: sliding
tap: dripping running | shower: running | toilet: flushing | sink: draining | fountain: splashing | water: running dripping pouring splashing boiling
rain: falling pouring pattering | wind: blowing howling whistling gusting | thunder: rumbling cracking | waves: crashing lapping | river: flowing | stream: babbling
waterfall: roaring | fire: crackling burning | leaves: rustling | branch: snapping | snow: crunching | ice: cracking | hail: falling
glass: breaking clinking shattering | plate: breaking clattering | dishes: clattering | coin: dropping spinning | keys: jingling | paper: tearing rustling
plastic bag: rustling | zipper: closing | scissors: snipping | balloon: popping | ball: bouncing | gun: firing | cannon: firing | fireworks: exploding popping
bomb: exploding | sword: clashing | whip: cracking | food: frying sizzling | bacon: sizzling | knife: chopping | spoon: stirring | bottle: opening
robot: beeping | machine: whirring humming grinding | elevator: dinging | escalator: rumbling | turnstile: clicking | spray can: hissing | pump: pumping
tennis players: grunting | swimmers: splashing | runners: breathing | skateboard: rolling | horses: galloping | birds: singing chirping | dogs: barking | crickets: chirping
frogs: croaking | cats: fighting | cars: passing honking | drums: beating | bells: ringing jingling | sirens: wailing | footsteps: approaching echoing | voices: murmuring
"""
_NAMES = """
speech, male speech, female speech, voice, voices, vocals, lead vocals, backing vocals, male voice, female voice, singing, rap, beatboxing, humming, whistling, whispering,
laughter, applause, clapping, cheering, chatter, chewing, coughing, sneezing, snoring, breathing, heartbeat, hiccups, burping, footsteps, screaming, crying, sobbing, yawning, gargling,
music, background music, classical music, jazz, hip hop, techno, heavy metal, folk song, pop song, lullaby, drums, drum kit, snare, kick drum, hi-hat, cymbals, bass, bass line, bass drum, electric guitar,
acoustic guitar, bass guitar, synth, synthesizer, strings, brass section, violin, viola, cello, double bass, harp, piano, electric piano, organ, trumpet, trombone, tuba, saxophone, sax, oboe, bassoon, clarinet,
recorder, bagpipes, didgeridoo, sitar, tabla, bongos, congas, maracas, tambourine, triangle, xylophone, marimba, glockenspiel, gong, steel drum, theremin, turntable scratching, wind chimes, music box, melody, beat, solo,
traffic, road noise, street noise, city noise, crowd noise, wind noise, background noise, white noise, static, hum, mains hum, hiss, tape hiss, buzz, crackle, feedback, clicks, pops, echo, rumble, beep, beeps, tone, chirp, squeak, squeal,
explosion, gunshot, gunshots, machine gun fire, fireworks, thunder, thunderstorm, rain, wind, storm, waves, ocean, sea, surf, river, creek, waterfall, fire, campfire, birdsong, bird calls, dawn chorus, insects, crickets,
car horn, engine, engine noise, brakes, tire screech, train horn, steam whistle, foghorn, ship horn, siren, alarm, car alarm, fire alarm, bicycle bell, church bells, doorbell, ringtone, dial tone, busy signal, notification sound,
keyboard, typing, mouse clicks, printer, camera shutter, cash register, coins, keys, zipper, scissors, velcro, tearing paper, crumpling paper, cutlery, dishes, chopping, frying, sizzling, boiling water, popping corn, pouring coffee,
hammering, drilling, sawing, sanding, welding, construction work, power tool, lawn mower, leaf blower, hedge trimmer, chainsaw, snow blower, vacuum cleaner, hoover, hair dryer, electric toothbrush, electric shaver, blender, mixer,
toilet flush, dripping tap, running water, washing machine, dishwasher, air conditioning, ventilation, fan, fridge, microwave, clock, cuckoo clock, wind-up toy, dog, cat, horse, cow, sheep, goat, pig, rooster, hen, duck, goose, owl,
frog, crow, seagulls, parrot, wolf, lion, elephant, bees, mosquito, whale song, purring, barking, meow, meowing, howling, neighing, mooing, chirping, croaking, buzzing, commentator, referee's whistle, stadium crowd, protest, prayer, sermon,
news report, phone call, phone conversation, laugh track, sound effects, jingle, national anthem, marching band, carousel, roller coaster, slot machine, arcade game, video game, ping pong, basketball, bowling, tennis, ice skating, swimming,
rocket launch, spaceship, laser, lightsaber, creaking door, door slam, door knock, broken glass, splash, drip, gurgling, sawmill, tractor, helicopter, airplane, drone, motorbike, truck, bus, tram, subway, boat engine, hovercraft, horse carriage
""".replace("\n", " ")
# Captions whose own words look like commands, negations or requests.
_LOOK_ALIKES = """
someone cutting paper; cutting grass; a man cutting down a tree; a woman removing tape; dropping a coin; a pan is dropped on the floor; drops of water falling; rain drops; a drop of water;
muted trumpet; a muted guitar riff; silent film music; a quiet library; a train leaves the platform; the guests leaving the hall; leaves rustling; leaves under feet; dead leaves crunching; a kid lost in a shop crying;
a filter coffee machine dripping; erasing a whiteboard; an eraser on a blackboard; a door left open banging; keeping time with a tambourine; a goalkeeper shouting; a dog that keeps barking; a car that keeps honking; a baby who keeps crying;
the motor keeps stalling; clapping that keeps going; a lawn mower that doesn't start; a tap that won't stop dripping; a door which will not close; a man who does not stop talking; a woman saying no; a child saying please; people shouting stop;
a man asking a question; someone saying thank you; a voice saying hello; a girl saying hello to her dog; people singing without instruments; a cappella singing without music; an engine running without a muffler; a take off of a jet; a plane taking off;
a helicopter takes off; throwing stones into water; throwing out garbage; taking out the trash; turning off a lamp; switching off a machine; pulling out a nail; picking up coins; ripping out a page; blowing out candles; a person gets out of a car;
stripping wire; wiping a window; scratching a record; killing a bug; shooting at a target; a gun being loaded; a machine stops; the music stops and people clap; an engine stops; a bus stops and its doors open; a clock stops ticking;
play of children; a player dribbling a basketball; a tape being rewound; a recording of an old speech; an answering machine message; a film track with strings; an old record playing; a radio clip; an audio book; a video call; mixing batter in a bowl;
hold music on the phone; a cash drawer; a save point jingle; a penalty save and the crowd; an isolated thunder clap; a lonely bird; only child laughing; hearing test tones; a listening device bleeping; a silent alarm clicking; a noise gate opening;
a deleted scene; a woman wants a taxi and whistles; a dog wants to go out; a man hates his car and kicks it; a crying child that needs its mother; an annoying bug zapper; a loud bang; a too loud television; an unbearably high whistle; nothing but birds in a forest
"""
_ADJECTIVES = ["loud", "quiet", "soft", "distant", "faint", "deep", "high", "low", "high-pitched", "sharp", "muffled", "steady", "rhythmic", "old", "big", "small", "little", "heavy", "light", "fast", "slow", "angry", "happy", "excited", "sad", "male", "female", "young", "metallic", "electronic", "mechanical", "wooden", "hollow", "repeated", "continuous", "intermittent", "echoing", "gentle", "rough", "squeaky", "creaky", "noisy", "tiny", "huge", "lone", "single", "many", "several", "two", "three", "some", "wild", "busy", "outdoor", "indoor", "electric", "acoustic", "vintage", "modern", "rusty", "wet", "dry", "warm", "cold", "bright", "dark", "harsh", "smooth"]
_PLACES = (
    "in the background; in the distance; nearby; outside; inside a room; in a park; in the street; on the street; in a church; in the kitchen; in a forest; at night; in the morning; "
    "on a roof; on a tin roof; on gravel; on a wooden floor; in the snow; on a beach; at the harbour; at a station; in a stadium; in a cafe; in a restaurant; in an office; in a cave; in the bathroom; "
    "through a wall; next door; far away; close by; up close; down the road; in the woods; on a farm; under water; over a loudspeaker; on the radio; on the phone; at the end; at the beginning; "
    "in the left channel; by the window; behind the speaker; from afar; on the train; in the car; in the garden; upstairs; in the hallway; with echo; with reverb; all the time; over and over"
)
_MANNER = ["loudly", "quietly", "softly", "slowly", "quickly", "repeatedly", "continuously", "constantly", "gently", "angrily", "happily", "rapidly", "steadily", "briefly", "twice", "rhythmically"]
_OWNERS = ["my neighbour's", "the neighbour's", "my brother's", "my daughter's", "the teacher's", "the old man's", "the lady's", "our", "my", "his", "her", "their", "my friend's", "grandpa's", "the kid's", "the driver's"]
_LINKS = ("while", "as", "followed by", "with", "over", "and then", "before", "during", "and", "and", "and", "then", "after")


def _items(text: str, mark: str) -> list[str]:
    return [item.strip() for item in text.replace("\n", " ").split(mark) if item.strip()]


SOURCES = {
    line.split(":")[0].strip(): [v if " " in v else v for v in line.split(":")[1].split()]
    for line in _SOURCES.replace("\n", "|").split("|")
    if ":" in line
}
SOURCES["politician"], SOURCES["ship"] = ["giving a speech", "shouting"], ["sounding its horn", "docking"]
NAMES = _items(_NAMES, ",")
LOOK_ALIKES = _items(_LOOK_ALIKES, ";")
PLACES = _items(_PLACES, ";")


def _third_person(gerund: str) -> str:
    """ "barking" -> "barks": near enough for generated text."""
    first, _, rest = gerund.partition(" ")
    stem = first[:-3]
    if len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "slz":
        stem = stem[:-1]
    stem += "es" if stem.endswith(("sh", "ch", "s", "z")) else "s"
    return f"{stem} {rest}".strip()


def simple_sound(rng: random.Random) -> str:
    """One sound without an article, two to six words as a rule."""
    pick = rng.random()
    if pick < 0.34:
        sound = rng.choice(NAMES)
    else:
        source = rng.choice(list(SOURCES))
        action = rng.choice(SOURCES[source])
        sound = rng.choice((source, f"{source} {action}", f"{source} {action}", f"{source} {_third_person(action)}"))
        if rng.random() < 0.12:
            sound = f"{source} {rng.choice(('that is', 'who is', 'which is', 'that keeps', 'that starts'))} {action}"
    if rng.random() < 0.2:
        sound = f"{rng.choice(_ADJECTIVES)} {sound}"
    if rng.random() < 0.07 and "ing" in sound:
        sound = f"{sound} {rng.choice(_MANNER)}"
    if rng.random() < 0.16:
        sound = f"{sound} {rng.choice(PLACES)}"
    return sound


def owner(rng: random.Random) -> str:
    """Whose sound it is: "my neighbour's"."""
    return rng.choice(_OWNERS)


def scene(rng: random.Random) -> str:
    """A caption of a whole clip, with its articles, as a dataset or a user would write it."""
    pick = rng.random()
    if pick < 0.22:
        return rng.choice(LOOK_ALIKES)
    first = _with_article(simple_sound(rng), rng)
    if pick < 0.5:
        return first
    second = _with_article(simple_sound(rng), rng)
    comma = rng.choice(("", "", ","))
    return f"{first}{comma} {rng.choice(_LINKS)} {second}"


def _with_article(sound: str, rng: random.Random) -> str:
    return f"{rng.choice(('a', 'the', 'an', 'some'))} {sound}" if rng.random() < 0.5 else sound
