"""The words the prompt parser knows: which is an article, an adjective, a scene, a container."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(line.split()) for line in text.split("|"))


ARTICLES = _words("a an the")
POSSESSIVES = _words("my your his her its our their")
DETERMINERS = ARTICLES | POSSESSIVES | _words("this these those some any another each every no neither")
NUMERALS = _words("one two three four five six seven eight nine ten eleven twelve several many few both")

PRONOUNS = _words("it they them he she him it's he's she's they're itself himself herself themselves")
# Pronouns that never stand for something drawn earlier in the prompt.
EMPTY_PRONOUNS = _words("i we you me us i'm one ones something someone everything what")
RELATIVE_PRONOUNS = _words("which who whom whose where that's")
NEGATIONS = _words("not never isn't aren't wasn't weren't nor cannot can't don't doesn't didn't won't")
# Words that name no thing: what stands beside "the other" is not told.
NO_THINGS = _words(
    """
    other others another rest both all each own same nothing none nobody anything everything else such
    another's other's others' that this here there
    """
)

BE_FORMS = _words("is are was were be been being am 's remains appears seems feels looks")
POSTURES = _words(
    """
    graze grazes roosts basks bathes paddles strolls stroll wanders prowls trots gallops howls barks roars
    purrs yawns snores snoozes cuddles huddles clings crackles flickers shimmers shimmer twinkle twinkles
    gleams sparkles smolders billows billow cascades cascade trickles drips spills beckons sleeps jumps
    runs walks swims sit sits sat sitting seated stand stands stood standing lie lies lay laid lying
    laying rest rests rested resting hang hangs hung hanging float floats floated floating hover hovers
    hovering fly flies flew flying perch perches perched perching lean leans leaning put puts place places
    placed set located positioned situated parked mounted stacked seen shown found kneel kneels kneeling
    crouching squatting balanced balancing suspended posing arranged displayed jump leaps leap dances
    dance hides hide peeks peek peers emerges emerge rises rise grows grow drifts drift glides glide soars
    soar crawls crawl climbs climb moves travels drives sails sail marches gathers naps dozes gazes stares
    shines glows sings stretches spans extends towers looms dangles curls nestles nestled sprawls sprawled
    lounges relaxes meditates kneeled knelt squats balances bounces slept hovered jumped leapt crouches
    crouch crouched slumped curled hid dwells waits stays overlooks overlooked flows flow flowed lurks
    lurk lurked blooms roams slithers burns hidden visible can could appear will should would must has
    been do does
    """
)
STANDING = _words(
    """
    sit sits sitting stand stands standing lie lies lying rest rests resting parked kneeling crouching
    """
)
# Verbs and prepositions after which a noun phrase only describes the thing before it.
ATTACHING = _words(
    """
    of from for at by into through across along during against around like as to toward towards via than
    about off out without has have had having wear wears hold holds ride rides eat eats carry carries
    watch watches chase chases play plays contains containing made showing shows depicting depicts
    featuring features displaying displays illustrating portraying covers amid among amongst after before
    per up down away together says say said read reads spells surrounds surround flanks flank follows
    follow blocks gripping grips raises raise lifts touches reaches pulls pushes uses bears depict
    overshadows dominates adorns decorates casts receives gives brings takes
    """
)
SKIPPED = _words(
    """
    up down away together there here then also too just very only still now again else out off
    simultaneously please show draw paint generate create make see
    """
)
ADVERBS = _words(
    """
    directly just right immediately slightly diagonally far partially partly somewhat exactly precisely
    straight well high low up down way closely positioned vertically horizontally clearly really
    completely entirely almost nearly somewhere
    """
)

AND_PHRASES = _phrases("and | or | plus | & | + | as well as | along with | together with")
CLAUSE_PHRASES = _phrases("while | but | whereas | whilst | then | and then | when")
EXISTENTIAL_PHRASES = _phrases(
    """
    there is | there are | there was | there were | there's | there | i see | i can see | we see | we can
    see | you see | you can see | one can see | can be seen
    """
)
ON_TOP_PHRASES = _phrases("on top | on the top of it | on top of it")
SIDE_BY_SIDE_PHRASES = _phrases(
    """
    side by side | next to each other | beside each other | near each other | close to each other | next
    to one another | beside one another | adjacent to each other
    """
)
# Idioms that look like a relation. The first kind stands alone, after the second kind a name or noun follows.
IDIOMS = _phrases(
    """
    on fire | on display | on sale | on earth | below deck | below decks | below zero | above zero | above
    average | below average | above ground | below ground | under water | below freezing | above sea level
    | below sea level | on top of that | on top of this | on top of the world | on top of things | next
    door | on all fours | under the weather | on the run | on the loose | on the hunt | on the prowl |
    left behind | left over | behind closed doors | near and far | on a roll | within reach | within arm's
    reach | within sight | within walking distance | out of reach | on the market | behind enemy lines |
    close to tears | close to death | close to nature | next to impossible | next to perfect | beside the
    point | under one roof | under lock and key | under oath | between the lines | head over heels | over
    the rainbow | on the warpath | on and off | over the years | over the course of | by far | on the job
    | in between takes | on the double | on the dot | over the counter | over easy | over the limit | over
    budget | under the influence | under siege | under fire | under threat | under wraps | under the radar
    | behind the times | behind the scene | above the law | close to home | next to last | left and right
    | right and left | side to side | on either side | on both sides | on each side | on all sides | on
    the inside | on the outside | on the whole | on the ground | on the contrary | on the rise | on the
    mend | on the spot | on hand | on board | on air | on ice | on time | on point | on guard | on patrol
    | on watch | on tiptoe | on tiptoes | on edge | on end | on its side | on his side | on her side | on
    their sides | on purpose | on foot | on the way | on the phone | on the go | on the move | on its own
    | on their own | on stage | on the other hand | on one hand | on average | on holiday | over there |
    over time | all over | over and over | above all | under construction | under attack | of course |
    under pressure | under control | under arrest | next to nothing | behind the scenes | behind bars | in
    the background | in background | in the foreground | in the distance | in the near future | right of
    way | left of center | left of centre | right of center | right of centre | all right | at night | in
    the air | in mid air | in space | up close | upside down
    """
)
ATTACHING_IDIOMS = _phrases(
    """
    on the end of | at the end of | in the style of | in style of | in the manner of | in the shape of |
    in the form of | in the middle of | in the center of | in the centre of | inspired by | because of |
    instead of | out of | made of | made out of | all over the | on behalf of | on the edge of | on the
    edges of | on the surface of | on the outskirts of | on the corner of | on the brim of | on the tip of
    | on the banks of | on the shore of | on the shores of | on the cover of | on the verge of | on the
    brink of | on account of | under the guise of | front of | over a period of
    """
)

# A picture of something is not a thing in the picture.
FRAMES = _words(
    """
    image images photo photos photograph photographs picture pictures pic scene frame shot view snapshot
    composition rendering render selfie canvas photography screenshot background foreground backdrop shots
    panel page exposure exposures timelapse time-lapse
    """
)
# These are things as well; only "a painting of ..." opens a prompt.
ARTWORKS = _words(
    """
    cutaway blueprint diagram painting drawing sketch illustration cartoon watercolor watercolour portrait
    artwork art doodle engraving still close-up closeup depiction poster cover collage mural postcard
    wallpaper comic scene setting diorama mosaic tapestry panorama
    """
)
PLACES = _words(
    """
    room kitchen bedroom bathroom park street beach field garden forest city landscape office studio
    garage yard backyard town village road desert meadow world place library restaurant cafe shop store
    museum hall classroom sky background sea ocean lake mountain jungle farm zoo
    """
)
# "on" these is a setting, not one thing above another.
SCENERY = (
    PLACES
    | FRAMES
    | _words(
        """
    wall walls floor ground grass sidewalk pavement hill hillside island earth planet mars ceiling side
    sides day night morning evening afternoon weekend monday tuesday wednesday thursday friday saturday
    sunday vacation trip walk internet tv screen duty own river shore coast highway left right top horizon
    corner corners bank banks edge breeze wind sidewalks streets roads path trail track driveway runway
    shoreline lawn terrain soil landscape seabed lakeside riverbank seaside beaches curb stage playground
    battlefield market court pitch campus bottom theme
    """
    )
)
OVERHEAD = _words(
    """
    sky skies stars moonlight sunlight sun light lights rain spotlight starlight snow heavens sunset
    sunrise daylight shade shadow shadows
    """
)
CONTAINERS = _words(
    """
    box basket bowl cup mug bag cage jar bottle drawer bucket suitcase backpack vase pot bathtub tub sink
    fridge refrigerator oven microwave crate barrel glass pan aquarium tank pocket envelope trunk chest
    cabinet nest tin can carton bin basin pouch purse wallet handbag toolbox container cart stroller pram
    dishwasher toaster teacup teapot
    """
)
WEARABLES = _words(
    """
    hat cap scarf glasses sunglasses shirt t-shirt dress tie bow beard moustache mustache hair tail eyes
    ears horns wings collar coat jacket suit pants trousers skirt boots shoes gloves helmet mask crown
    necklace backpack stripes spots fur handle lid legs arms hands nose mouth face head teeth whiskers
    umbrella apron robe robes cloak cape gown vest blouse veil socks shorts goggles armor armour belt
    bracelet ring earrings headphones headband bandana turban visor wig mittens sandals sneakers heels
    tuxedo kimono bonnet beret sweater hoodie uniform jeans
    """
)
PARTITIVES = _words(
    """
    pair group bunch herd pile row set couple lot stack slice piece flock pack crowd number kind type
    variety series collection bit
    """
)
STYLE_WORDS = _words(
    """
    4k 8k 16k hd uhd hdr photorealistic hyperrealistic realistic cinematic bokeh hires highres masterpiece
    """
)

COLOURS = _words(
    """
    red green blue yellow orange purple violet pink brown black white gray grey beige turquoise teal cyan
    magenta gold golden silver maroon navy crimson scarlet tan ivory lavender indigo lime olive coral
    colored coloured colorful colourful multicolored rainbow blond blonde
    """
)
# Colours and materials that are nouns just as well ("an orange to the left of a glass").
NOUN_LIKE_ADJECTIVES = _words(
    """
    orange gold silver coral lime olive lavender glass paper rubber plastic metal leather rainbow stone
    brick cotton wood fabric young
    """
)
ADJECTIVES = (
    COLOURS
    | NOUN_LIKE_ADJECTIVES
    | _words(
        """
    large small big little tiny huge giant gigantic enormous massive miniature mini tall short long wide
    narrow thin thick fat slim deep shallow heavy light dark bright pale vivid neon shiny glossy matte
    transparent translucent opaque clear round square rectangular triangular circular oval oblong
    spherical cubic cubical conical cylindrical pyramidal pentagonal hexagonal octagonal teardrop
    diamond-shaped flat curved straight bent pointy sharp blunt wooden metallic rubbery woolen woollen
    wool silk velvet ceramic porcelain steel iron concrete marble clay wicker denim fluffy furry fuzzy
    hairy soft hard smooth rough bumpy wrinkled striped spotted dotted checkered checked plaid patterned
    floral old new young ancient modern vintage antique retro classic futuristic rustic elderly newborn
    happy sad angry sleepy tired hungry scared cute adorable pretty beautiful ugly handsome lovely funny
    silly cheerful serious grumpy lazy playful friendly fierce wild tame domestic clean dirty dusty muddy
    wet dry hot cold warm cool frozen fresh ripe rotten raw cooked fried baked juicy sweet sour spicy
    tasty delicious empty full open broken cracked rusty shabby worn simple plain fancy elegant ornate
    detailed realistic photorealistic cartoonish surreal abstract minimalist quick fast slow strong weak
    brave lonely single double same different other second third first last whole half real fake plush
    stuffed potted toy-like magical mystical mysterious scary spooky creepy weird strange odd rare unusual
    normal typical ordinary regular traditional japanese chinese indian french italian german american
    british african asian european mexican male female left right upper lower top middle main lone high
    low nice good bad great perfect amazing stunning epic grand majestic royal mighty noble sturdy cozy
    comfortable luxurious expensive cheap electric electronic digital portable mechanical steampunk
    medieval gothic victorian sunny cloudy rainy snowy stormy foggy misty windy icy leafy grassy sandy
    rocky mossy wooly woolly chubby skinny plump bald bearded curly spiky fiery glowing sparkling gleaming
    glittering smiling laughing gray-haired very quite really extremely super ultra highly slightly quiet
    loud calm stylish sleek chunky bulky slender lush vibrant
    """
    )
)
# Compounds whose first word would otherwise be taken for an adjective or a verb.
COMPOUNDS = frozenset(
    _phrases(
        """
    hot dog | potted plant | dining table | dining room | living room | parking meter | washing machine |
    sewing machine | swimming pool | frying pan | shopping cart | shopping bag | rocking chair | rocking
    horse | running shoe | running shoes | sleeping bag | cutting board | ironing board | baking tray |
    fishing rod | fishing boat | walking stick | sailing boat | sailing ship | flying saucer | racing car
    | boxing glove | vending machine | mixing bowl | drinking glass | light bulb | light switch |
    lighthouse | stuffed animal | stuffed bear | polar bear | black bear | brown bear | red panda | golden
    retriever | great dane | high chair | high heel | high heels | rubber duck | rubber band | paper plane
    | paper airplane | paper clip | paper towel | wild boar | sweet potato | green bean | green beans |
    grand piano | electric guitar | electric fan | orange juice | glass bottle | blue jay | french fries |
    french horn | fried egg | fried rice | metal detector | french bulldog | orange tree | olive tree |
    olive oil | lime tree | gold fish | gold bar | gold medal | silver fish | light saber | hard drive |
    hard hat | short pants | full moon | big wheel | first aid kit | square root | cotton candy | leather
    jacket | coral reef | deep fryer | flat screen | sweet corn | ice cream | rolling pin | spinning wheel
    | white house | blackboard | whiteboard | steel drum | iron man | digital clock | digital camera |
    rice cooker
    """
    )
)

# Participles that take an object of their own: "a friend, roasting marshmallows".
TRANSITIVE = _words(
    """
    wearing holding carrying eating drinking reading riding playing chasing watching roasting cooking
    making using having throwing catching kicking pulling pushing waving giving taking feeding cutting
    selling buying surrounding containing showing featuring facing crossing hugging kissing petting
    licking biting chewing grabbing gripping clutching lifting hitting fighting hunting herding milking
    shearing stirring pouring baking grilling frying smoking brushing washing cleaning fixing repairing
    building casting wielding swinging drawing
    """
)
IRREGULAR_PARTICIPLES = _words(
    """
    written drawn shown worn torn thrown blown grown sewn woven bound built hung strung slung spun stuck
    swept lit cast hidden held made kept caught
    """
)
# Endings that make a modifier or a verb, and the nouns that merely end so.
ING_NOUNS = _words(
    """
    painting building ring king ceiling earring string wing swing clothing duckling sibling pudding
    wedding awning railing evening morning thing spring sling icing drawing dumpling gosling herring ping
    sting viking bing boing filling frosting lightning siding stocking seedling sapling bowling
    handwriting carving engraving plaything something everything nothing anything rendering being wording
    ding bling sterling starling darling sing bring
    """
)
ED_NOUNS = _words(
    """
    bed shed seed weed sled reed steed moped breed bobsled biped hundred speed deed feed flatbed red
    seaweed centipede ted fred greed creed flowerbed tweed hotbed kindred
    """
)
LY_NOUNS = _words(
    """
    butterfly fly family lily jelly belly bully assembly dragonfly firefly ally italy july doily trolley
    dolly holly polly sally emily monopoly gadfly housefly horsefly curly ugly lovely woolly friendly
    teddy
    """
)
ADJECTIVE_ENDINGS = (
    "ful",
    "ous",
    "ish",
    "less",
    "able",
    "ible",
    "esque",
    "haired",
    "shaped",
    "sized",
    "faced",
)
ADJECTIVE_ENDING_NOUNS = _words(
    """
    fish dish table radish vegetable cable goldish armful spoonful handful swordfish catfish goldfish
    starfish jellyfish crayfish timetable rubbish polish bible turntable finish mousse dresses blowfish
    shellfish angelfish clownfish brush
    """
)
