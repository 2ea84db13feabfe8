"""Chinese: the place words, the verbs before and after them, numbers and classifiers."""

from ..relations import Relation
from .lexicon import table, words

_COLUMNS = {Relation.LEFT: "左", Relation.RIGHT: "右"}
_TAILS = ("边", "侧", "方", "面", "手边", "边儿", "邊", "側")

SIDES: dict[str, Relation] = {
    **{char + tail: relation for relation, char in _COLUMNS.items() for tail in _TAILS},
    **dict.fromkeys(table("上方 | 上面 | 上边 | 上头 | 之上 | 顶上 | 顶部 | 正上方 | 上空 | 上邊"), Relation.ABOVE),
    **dict.fromkeys(table("下方 | 下面 | 下边 | 底下 | 之下 | 正下方 | 下邊"), Relation.BELOW),
    **dict.fromkeys(table("旁边 | 旁 | 身旁 | 身边 | 附近 | 边上 | 一旁 | 旁邊"), Relation.NEXT_TO),
    **dict.fromkeys(table("里面 | 里边 | 里 | 内 | 之内 | 内部 | 里头 | 裡面 | 裡"), Relation.INSIDE),
    **dict.fromkeys(table("前面 | 前方 | 前边 | 跟前 | 面前 | 之前 | 正前方 | 前邊"), Relation.IN_FRONT_OF),
    **dict.fromkeys(table("后面 | 后方 | 后边 | 背后 | 身后 | 之后 | 正后方 | 後面 | 後方"), Relation.BEHIND),
    **dict.fromkeys(table("之间 | 中间 | 之間 | 中間"), Relation.BETWEEN),
    "左上方": Relation.ABOVE_LEFT, "左上角": Relation.ABOVE_LEFT, "左上": Relation.ABOVE_LEFT,
    "右上方": Relation.ABOVE_RIGHT, "右上角": Relation.ABOVE_RIGHT, "右上": Relation.ABOVE_RIGHT,
    "左下方": Relation.BELOW_LEFT, "左下角": Relation.BELOW_LEFT, "左下": Relation.BELOW_LEFT,
    "右下方": Relation.BELOW_RIGHT, "右下角": Relation.BELOW_RIGHT, "右下": Relation.BELOW_RIGHT,
}  # fmt: skip
# One character is a place word only where a thing stands before it and the clause shows that it is one.
SHORT_SIDES: dict[str, Relation] = {
    "上": Relation.ABOVE, "下": Relation.BELOW, "前": Relation.IN_FRONT_OF, "后": Relation.BEHIND,
    "後": Relation.BEHIND, "左": Relation.LEFT, "右": Relation.RIGHT,
}  # fmt: skip
MIDDLE = ("中间", "中央", "中間", "正中间", "正中")

AT = ("位于", "处于", "在", "位於")
OWNING = ("有", "是", "为")
# Verbs of standing, lying and hanging, before 在 and before 着.
POSTURE = (
    """
    站立 悬挂 漂浮 停放 摆放 放置 隐藏 躲藏 坐落 悬浮 飞行 蹲坐 依靠 生长 站 坐
    躺 放 挂 停 摆 飞 漂 睡 蹲 趴 立 悬 藏 躲 卧 倒 长 游 走 跑 跳 靠 种
    铺 飘 浮 盖 倚 蜷 跪 住 玩 掛 擺 飛
    """
).split()
NOT = ("不", "没有", "没", "並不", "并不")
AND = ("和", "与", "跟", "及", "以及", "、", "與")
NUMBERS = "一二两三四五六七八九十几数百千这那每某0123456789兩這"
CLASSIFIERS = (
    """
    只 个 把 棵 本 辆 张 条 头 匹 朵 艘 座 位 名 盆 盏 台 架 幅 块 片 颗
    杯 瓶 碗 盘 双 对 群 些 间 栋 株 件 顶 支 根 枝 副 堆 尊 口 扇 面 串
    束 滴 轮 道 部 隻 個 輛 張 條 頭 盞
    """
).split()
LEADING = ("有", "还有", "画着", "画面中", "图中", "请画", "生成", "看到")
PICTURES = words("照片 图片 画面 图 图中 画中 背景 场景 图像 画布 屏幕 镜头 画 照片中 图画")
PLACES = words(
    """
    公园 街 街道 街上 路 马路 天空 天 空 地 地面 地板 墙 墙壁 房间 厨房 卧室
    客厅 花园 森林 海滩 沙滩 草地 草坪 草原 城市 田野 山 沙漠 海 海洋 大海 湖 河
    水 雪地 舞台 世界 夜空 阳光 月光 星空 雨 雪 学校 教室 办公室 图书馆 餐厅 商店
    院子 村庄 宇宙 太空 梦 心
    """
)
