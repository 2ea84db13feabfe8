"""Kinds of English nouns and verbs by which a relation is told from a manner of speaking.

None of the lists is complete. A word that is missing is taken for a thing that can be seen.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What cannot be seen, so that nothing lies left of, on or over it.
ABSTRACT = _words(
    """
    ride rides picnic hike stroll outing errand date dates expedition crush role roles zoom handstand
    ruling hold custody grasp claim stance remark effect effects reach distance past warpath spell curse
    streak leash lockdown break breaks probe collapse extinction tears coffee-break lunch dinner breakfast
    supper brunch drinks elements ravages jobs meals shifts autopsy binge spectrum decade decades century
    centuries millennium midnight noon disposal trend trends kindness warranty airs ability absence abuse
    accident account advantage adventure advice age agenda agreement air alert ambition anger anniversary
    anxiety appeal approach approval arrest attack attempt attention attitude authority autopilot average
    bail balance bankruptcy basis beat beauty behalf behavior belief benefit bias blame bliss brand budget
    business buzz call campaign capacity care career case cause caution chance change chaos charge charm
    choice circumstance circumstances class cleanliness climate comfort command commission concept concern
    condition confidence conflict consequence context contract contrast control cost courage course
    craftmanship creation creativity credit crime crisis cruise culture curiosity currency custom damage
    danger dark darkness data daylight deal death debate debt deception decision default defense degree
    delay delight demand democracy depth depths desire despair destiny development diet difference
    difficulty dignity dimension dimensions direction disaster discipline discount disguise dispute
    distress diversity divorce doubt dream dreams drugs dusk duty dynamics ease echo economy edge
    education effort ego elegance emergency emotion emotions emphasis encore energy enjoyment
    entertainment equality eternity evidence evil evolution examination example excellence excitement
    existence expectation expectations expense experience experiment extent faith fame fantasy fashion
    fate fear feeling fiction fitness flow focus fool force fortune freedom freezing frequency friendship
    fun function fury future gender generation glory goal good grace gravity grief growth guarantee
    guidance guilt habit happiness harmony haste hate health heaven heights hell help heritage hiatus
    history holiday holidays honeymoon honor honour hope horizon horizons hormones humanity humor hunger
    hunt hurry idea ideas identity illusion imagination impact importance impression impulse income
    independence industry infinity influence information injury innocence innovation insanity inspiration
    instinct insurance intelligence intent intention interest intuition investigation irony jealousy job
    journey joy judgement judgment justice knowledge labor labour language latitude law laws leave legacy
    leisure level levels liberty lie life limit limits location loneliness longitude loop loss love
    loyalty luck luxury madness magic maintenance majority march masculinity mass math mathematics matter
    meaning medication meditation memories memory mercy mess message method mind minds minimum misery
    mission mode moment moments mood morality morals motion motive movement mystery myth nature necessity
    need needs negotiation neutrality nothing nothingness oath observation occasion odds offer opinion
    opportunity option options orders origin outlook outskirts overtime ownership pace pain panic paradise
    parole passion patience patriotism patrol pause peace perception perfection performance permission
    personality perspective phase philosophy pilgrimage plan pleasure plot poetry policy politics
    popularity position possibility potential poverty power practice praise prayer premise presence
    pressure price pride principle priority privacy probability probation problem procession production
    productivity profession profit program progress project promise proof protest psychology purpose
    pursuit quality quantity quest question rage rampage rank rate reaction reality reason rebellion
    recovery reduction reflection regime regret relation relationship relax relaxation release religion
    repair repeat reputation request rescue resistance respect response responsibility rest restraint
    result retreat return revenge review revolution reward rhythm riddance rise risk romance route routine
    ruin rule rules run rush sabbatical sadness safari safety sake sale sales sanity satire schedule
    scholarship science season secret security self sense separation sequence series service session shame
    shift shock short show siege sight silence similarity simplicity situation skill sleep slope society
    solitude solution song soul sound speed splendor spree standby standstill stardom state status
    steroids stock story strategy strength stress strike strings struggle style subject success suffering
    suicide sum superiority supervision support surrender survival suspense suspicion sync system tale
    talent task taste tax technology temper temptation tension term terms terror test testimony theme
    themes theory thought thoughts threat thrill time times timing tiptoe tiptoes title tone topic topics
    torment touch tour tradition traffic tragedy training transformation transit transition treatment
    trial trip triumph trouble trust truth twilight uncertainty understanding unity universe use vacation
    vacations value values variety velocity vengeance verge victory viewpoint vigil violence virtue vision
    visit voyage vulnerability wait war warning waste watch way wealth weather weekend weekends welfare
    whim whole wisdom wish wonder work world worlds worth wrath year yesterday youth zero zone
    """
)
# Endings of abstract nouns, and things that merely end so.
ABSTRACT_ENDINGS = (
    "ness", "ism", "hood", "ology", "tude", "acy", "ment", "tion", "sion", "ance", "ence", "ity", "ship", "ments", "tions",
)  # fmt: skip
ABSTRACT_ENDING_THINGS = _words(
    """
    harness witness governess lioness baroness prism mechanism organism hood neighborhood neighbourhood
    childhood pharmacy monument instrument apartment pavement garment ornament basement document cement
    equipment element parchment ointment compartment pigment fragment filament encampment tenement
    battlement department monuments instruments apartments garments ornaments documents compartments
    fragments battlements elements station lotion potion plantation fortification vegetation constellation
    mansion television explosion stations lotions potions constellations installation illustration
    intersection junction exhibition cushion ambulance entrance appliance residence audience fence
    sentence city deity university community facility celebrity entity ship spaceship battleship airship
    steamship warship starship flagship spacestation container-ship cruise-ship longship balance
    """
)
# What happens and what holds between two: "a game between", "a battle over", "a kiss between".
EVENTS = _words(
    """
    mix mixture blend cross hybrid combination fusion crossbreed medley middle ground halfway compromise
    choice gap affair agreement alliance argument balance ballet battle bond boundary brawl chase chess
    clash collaboration collision communication comparison competition conflict confrontation connection
    contest contrast conversation cooperation crossover dance date deal debate dialog dialogue difference
    discussion dispute distinction division duel embrace encounter exchange explosion-scene face-off feud
    fight fights friendship game games grudge handshake harmony hug interaction interview interplay kiss
    link love marriage match matches meeting merger negotiation partnership party peace performance play
    quarrel race rally relation relations relationship rivalry romance scuffle showdown skirmish
    similarity soccer struggle summit talk tango tension tournament transition treaty truce tug-of-war
    understanding union victory war wars wedding wrestling wrestle
    """
)
# Light, weather in the sky and what has no place of its own.
LIGHT = _words(
    """
    aurora borealis light lights lighting sunlight moonlight sunshine spotlight spotlights daylight
    candlelight lamplight starlight firelight torchlight glow gleam glare shine sheen ray rays sunray
    sunrays beam beams sunbeam sunbeams moonbeam shadow shadows reflection reflections highlight
    highlights shimmer sparkle sparkles glint flare twilight sunset sunrise dawn dusk sundown nightfall
    darkness silhouette backlight ambience ambiance atmosphere
    """
)
# Signs on a surface: "a mug with a picture on it", "text on a shirt".
PRINTS = _words(
    """
    face faces mural murals carving carvings mosaic fresco relief hieroglyphs rune runes dew dust frost
    goosebumps sweat rash mold rust dirt picture pictures image images photo photos logo logos print
    prints pattern patterns text texts letter letters lettering number numbers numeral word words writing
    calligraphy inscription slogan emblem symbol symbols label labels tattoo tattoos drawing drawings
    design designs motif motifs graphic graphics graffiti decal decals sticker stickers signature title
    titles caption captions name names message messages quote date phrase phrases sentence monogram
    embroidery engraving barcode watermark stripe stripes dots polka spots stain stains scratch scratches
    crack cracks texture pixel pixels initials doodle doodles sketch illustration expression smile smirk
    grin frown look gaze blush makeup lipstick tears freckles scar scars water-drops details detail
    """
)
# Surfaces for prints and pictures; what is "on" them is not above them.
MEDIA = _words(
    """
    paper canvas film kodak portra fujifilm fuji canon nikon sony leica hasselblad polaroid iphone camera
    lens dslr gopro vhs 35mm 16mm behance artstation deviantart pixiv instagram twitter facebook reddit
    pinterest youtube tiktok netflix tumblr flickr unsplash shutterstock steam patreon etsy amazon
    dribbble internet web website tv television screen monitor display blu-ray dvd vellum parchment
    cardstock linen velvet coin coins stamp card dress skirt kimono jacket t-shirt shirt tshirt hoodie
    sweater jersey poster billboard banner flag page cover magazine newspaper blackboard chalkboard
    whiteboard mirror wall walls ceiling door doors window windows background backdrop foreground
    playstation xbox nintendo ps1 ps2 unreal blender octane
    """
)
# What a relation does not hold of because it is the picture, a manner or a tag.
TAGS = _words(
    """
    view views angle shot shots focus emphasis perspective style art artwork photography cinematography
    painting watercolor watercolour oil acrylic gouache ink pencil charcoal pastel pastels crayon render
    rendering concept depth bokeh closeup close-up look score rating quality masterpiece detail details
    panorama vista overview aerial footage cinematic
    """
)
UNITS = _words(
    """
    dollar dollars euro euros pound pounds cent cents usd bucks year years month months week weeks day
    days hour hours minute minutes second seconds meter meters metre metres foot feet inch inches mile
    miles km kilometer kilometers kilometre kilometres kg kilos kilogram kilograms gram grams degree
    degrees celsius fahrenheit percent mph kph million billion thousand hundred watts volts decibels
    calories decades centuries
    """
)
# Parts of a body; something on one's own is a pose.
BODY = _words(
    """
    thumb thumbs nails fingernail eyelids jaw brow crotch armpit head hair face forehead eye eyes eyebrow
    eyebrows ear ears nose cheek cheeks mouth lips lip teeth tongue chin neck throat shoulder shoulders
    back chest breast breasts belly stomach waist hip hips lap arm arms elbow elbows hand hands finger
    fingers fist wrist palm palms leg legs thigh thighs knee knees ankle ankles foot feet toe toes heel
    heels paw paws hoof hooves tail trunk snout muzzle beak wing wings horn horns antlers whiskers mane
    fur skin body torso side hindlegs bottom butt rear feathers claws haunches fours
    """
)
# Verbs of looking, lighting and printing, and verbs whose "on" or "over" is no place.
LOOKING = _words(
    """
    look looks looking looked gaze gazes gazing gazed stare stares staring stared glance glances glancing
    peer peers peering watch watches watching point points pointing facing faces face turn turns turning
    turned tilted tilting tilt aim aims aiming aimed view viewed
    """
)
LIGHTING = _words(
    """
    shine shines shining shone glow glows beam beaming gleam gleams gleaming glint glinting glinted cast
    casts casting fall falls falling reflected reflecting reflects sparkle sparkles setting sets
    """
)
PRINTING = _words(
    """
    printed written drawn painted embroidered engraved carved etched tattooed projected depicted featured
    stamped inscribed stitched scribbled scrawled sketched spelled rendered photographed filmed captured
    shot shown displayed taken published posted trending cast streaming broadcast based available sold
    scattered stuck
    """
)
MANNER = _words(
    """
    based focus focuses focused focusing emphasis depend depends depending work works working cry crying
    cries argue argues arguing fight fights fighting struggle struggling rule rules ruling reign reigns
    reigning preside presiding worry worrying obsess obsessing laugh laughing mourn mourning grieve
    grieving weep weeping talk talks talking think thinking ponder pondering brood brooding insist insists
    insisting concentrate concentrating bet betting live lives living lived feed feeds feeding dine dining
    go going goes chat chats chatting gossip gossiping bond bonding catch discuss discussing meet meeting
    meets date swear swearing vow cast suck sucks sucking chew chewing nibble nibbling gnaw gnawing carry
    carries bring brings turn turns try tries trying spend spends spent win wins winning triumph
    triumphing prevail prevails fuss fussing linger bend bends bending lean leans leaning stumble
    stumbling tripping trip obsessed fawning swooning drooling gloating agonizing debating quarreling
    quarrelling bickering negotiating compete competing take takes taking taken control controlling choose
    choosing chose call calls calling knock knocking hold holding keep keeping put
    """
)
# "from behind a tree" is a place only after these; otherwise it is the camera's.
EMERGING = _words(
    """
    peek peeks peeking peeked peep peeps peeping peer peers peering emerge emerges emerging emerged appear
    appears appearing come comes coming rise rises rising pop pops popping stick sticks sticking poke
    pokes poking jump jumps jumping leap leaps leaping grow grows growing step steps stepping crawl crawls
    crawling run runs running fly flies flying climb climbs climbing burst bursts bursting shine shining
    smile smiles smiling wave waves waving
    """
)
MASSES = _words(
    """
    water grass snow sand ice sea wood glass mud dirt gravel lava hay straw fog mist smoke rice soup milk
    coffee tea cake bread chocolate cheese traffic foliage moss ivy concrete asphalt
    """
)
ANIMALS = _words(
    """
    dog cat horse pony elephant camel donkey mule dragon turtle tortoise whale dolphin bird eagle owl
    parrot cow bull ox buffalo bison sheep goat pig boar lion tiger leopard panther cheetah bear panda
    wolf fox deer elk moose reindeer unicorn rhino rhinoceros hippo hippopotamus giraffe zebra kangaroo
    koala monkey gorilla ape chimpanzee rabbit hare mouse rat squirrel hamster hedgehog raccoon otter seal
    walrus penguin duck goose swan chicken hen rooster turkey peacock pigeon crow raven frog toad lizard
    crocodile alligator snake snail spider crab lobster octopus fish shark corgi puppy kitten foal lamb
    calf llama alpaca ostrich flamingo pug beetle dinosaur phoenix griffin
    """
)
WOMEN = _words(
    "woman girl lady queen princess mother daughter sister wife bride witch actress goddess nurse "
               "waitress grandmother grandma ballerina aunt niece mermaid maid 1girl female girlfriend widow "
               "heroine empress duchess priestess sorceress nun female")  # fmt: skip
MEN = _words("man boy gentleman king prince father son brother husband groom wizard actor god grandfather "
             "grandpa uncle nephew monk 1boy male guy boyfriend emperor duke lord knight priest cowboy "
             "samurai")  # fmt: skip
PEOPLE = (
    WOMEN
    | MEN
    | _words(
        """
    gamer streamer hacker programmer coder writer reader passenger commuter traveller pedestrian cyclist
    owner neighbor neighbour colleague lover stranger patient person people child kid kids children baby
    toddler infant teenager adult soldier warrior knight samurai astronaut cyborg robot android chef cook
    doctor teacher student artist painter musician singer dancer driver pilot farmer sailor pirate
    policeman officer firefighter worker businessman scientist clown ninja elf dwarf fairy angel demon
    vampire zombie ghost hero superhero rider archer hunter explorer detective character figure player
    athlete couple family group crowd human individual individuals friends tourist monk skater surfer
    hiker climber swimmer wanderer traveler barista waiter judge nurse guard
    """
    )
)


def _with_plurals(words: frozenset[str]) -> frozenset[str]:
    return words | {f"{word}s" for word in words}


ANIMALS, PEOPLE = _with_plurals(ANIMALS), _with_plurals(PEOPLE) | {"men", "women", "ladies", "gentlemen"}
